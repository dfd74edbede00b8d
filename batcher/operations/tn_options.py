"""`tn-options`: line options of TNs (call forwarding, failover destination, messaging, passcode, routes, …).

One order holds up to 5,000 TNs in groups of equal options, settles asynchronously and is found again by its
CustomerOrderId. An option that is left out stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
from lxml import etree
from pydantic import BaseModel, ConfigDict

from batcher import tn as numbers
from batcher.carrier import destination, xml
from batcher.errors import InputError, ProtocolError
from batcher.model import MAX_LIST_BYTES, Answer, Chunk, Column, Find, Operation, Order, Reading, Request


class Settings(BaseModel):
    """Each option is one value for every TN or a column; an empty cell leaves that option unchanged."""

    # `hide_input_in_errors`: a passcode of the wrong type must not stand in the error about it.
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True, hide_input_in_errors=True
    )

    number_format: str | Column | None = None
    """Form of the called number on inbound calls: 10digit, 11digit, e164, unchanged or systemDefault."""
    rpid_format: str | Column | None = None
    """Form of the caller's number (Remote-Party-ID): 10digit, 11digit, e164, unchanged or systemDefault."""
    rewrite_user: str | Column | None = None
    """User part of the request URI, at most 25 characters; or unchanged, systemDefault."""
    call_forward: str | Column | None = None
    """The +1 number that all calls are forwarded to; or unchanged, systemDefault (none)."""
    calling_name_display: str | Column | None = None
    """Show the caller's name on inbound calls: on, off, unchanged or systemDefault."""
    port_out_passcode: str | Column | None = None
    """4 to 10 letters and digits that a port-out must name; or unchanged, systemDefault (none). Never written down."""
    protected: bool | str | Column | None = None
    """Keep the TN in the account when it is disconnected: true, false, unchanged or systemDefault."""
    sms: str | Column | None = None
    """Messaging: on, off or unchanged."""
    final_destination_uri: str | Column | None = None
    """Where calls go when the usual routes fail: a +1 number, name@ipv4[:port]; or unchanged, systemDefault."""
    nnid: int | str | Column | None = None
    """Messaging network id, a whole number; or unchanged, systemDefault."""
    espid: str | Column | None = None
    """Messaging provider id; or unchanged, systemDefault."""
    pindrop_enabled: bool | str | Column | None = None
    """Pindrop call screening: true or false."""
    call_verification_enabled: bool | str | Column | None = None
    """Call verification: true or false."""
    a2p_message_class: str | Column | None = None
    """A2P message class, 1 to 64 characters."""
    a2p_campaign_id: str | Column | None = None
    """A2P campaign, 1 to 64 characters."""
    a2p_action: str | Column | None = None
    """asSpecified (what class and campaign mean by themselves), systemDefault, off, delete or unchanged."""
    routes: str | Column | None = None
    """Origination routes, separated by `;`, each `endpoint,priority,weight[,type[,name]]`. The endpoint is a
    ten-digit TN, an IPv4 address, a `sip:` URI or a host name; priorities run from 1 without a gap."""
    route_action: str | Column | None = None
    """asSpecified (what routes mean by themselves), off (remove them) or unchanged."""
    sip_prefix: Literal["strip", "keep", "refuse"] = "strip"
    """What happens to `sip:` before a final destination. The carrier's rules forbid it, its examples show it."""


# The order of the elements is that of the specification's TnOptionGroup examples.
_ELEMENTS = {
    "number_format": "NumberFormat",
    "rpid_format": "RPIDFormat",
    "rewrite_user": "RewriteUser",
    "call_forward": "CallForward",
    "calling_name_display": "CallingNameDisplay",
    "port_out_passcode": "PortOutPasscode",
    "protected": "Protected",
    "sms": "Sms",
    "final_destination_uri": "FinalDestinationURI",
    "nnid": "NNID",
    "espid": "ESPID",
    "pindrop_enabled": "PindropEnabled",
    "call_verification_enabled": "CallVerificationEnabled",
    "a2p_message_class": "A2pSettings/MessageClass",
    "a2p_campaign_id": "A2pSettings/CampaignId",
    "a2p_action": "A2pSettings/Action",
    "routes": "OriginationRoutePlan/Route",
    "route_action": "OriginationRoutePlan/Action",
}
_SETTINGS = {path: setting for setting, path in _ELEMENTS.items()}
_ROUTE = ("Endpoint", "Priority", "Weight", "EndpointType", "Name")

_FORMATS = ("10digit", "11digit", "e164", "unchanged", "systemDefault")
_KEEP_OR_RESET = ("unchanged", "systemDefault")
#: Settings that take nothing but words.
_WORDS = {
    "number_format": _FORMATS,
    "rpid_format": _FORMATS,
    "calling_name_display": ("on", "off", *_KEEP_OR_RESET),
    "protected": ("true", "false", *_KEEP_OR_RESET),
    "sms": ("on", "off", "unchanged"),
    "pindrop_enabled": ("true", "false"),
    "call_verification_enabled": ("true", "false"),
    "a2p_action": ("asSpecified", "systemDefault", "off", "delete", "unchanged"),
    "route_action": ("asSpecified", "off", "unchanged"),
}
#: Most characters of free text.
_TEXTS = {"rewrite_user": 25, "espid": 64, "a2p_message_class": 64, "a2p_campaign_id": 64}
_NO_WORDS = ("a2p_message_class", "a2p_campaign_id", "routes")


def check(setting: str, cell: str, settings: Settings) -> str:
    """The value as it is kept and compared, TNs as +1XXXXXXXXXX; ValueError says why the carrier would refuse it.

    Words are matched without regard to case: the carrier itself answers `systemdefault` to `systemDefault`.
    """
    cell = cell.strip()
    words = _WORDS.get(setting, () if setting in _NO_WORDS else _KEEP_OR_RESET)
    for word in words:
        if cell.casefold() == word.casefold():
            return word
    if setting in _WORDS:
        raise ValueError(f"{destination.shown(cell)} is not one of {', '.join(words)}")
    if setting in _TEXTS:
        return destination.printable(cell, _TEXTS[setting])
    match setting:
        case "port_out_passcode":
            return _passcode(cell)
        case "nnid":
            return _whole_number(cell)
        case "call_forward":
            return f"+{destination.dialable(cell)}"
        case "routes":
            return destination.routes(cell)
        case _:
            return destination.of_tn(cell, settings.sip_prefix)


def _passcode(cell: str) -> str:
    """Code 5193. The message never holds the value."""
    if not re.fullmatch(r"[A-Za-z0-9]{4,10}", cell, re.ASCII):
        raise ValueError("a passcode has 4 to 10 letters and digits (or is unchanged, systemDefault)")
    return cell


def _whole_number(cell: str) -> str:
    """Code 5143."""
    if not re.fullmatch(r"[0-9]{1,18}", cell, re.ASCII):
        raise ValueError(f"{destination.shown(cell)} is not a whole number (or unchanged, systemDefault)")
    return str(int(cell))


def agree(values: Mapping[str, str]) -> tuple[str, str] | None:
    """Options that the carrier refuses together, some of them only after it took the order."""
    action = values.get("a2p_action", "asSpecified")
    if action != "asSpecified" and ("a2p_message_class" in values or "a2p_campaign_id" in values):
        return "a2p_action", f"{action} allows neither a2p_message_class nor a2p_campaign_id"  # 5134
    routing = values.get("route_action", "asSpecified" if "routes" in values else "unchanged")
    if routing == "asSpecified" and "routes" not in values:
        return "route_action", "asSpecified needs routes"  # 5184
    if routing == "off" and "routes" in values:
        return "route_action", "off allows no routes"  # 5208
    for setting in ("call_forward", "rewrite_user"):
        if routing == "asSpecified" and values.get(setting, "unchanged") not in _KEEP_OR_RESET:
            return "routes", f"a TN with routes cannot have {setting}"  # 5203 to 5206
    return None


def post(chunk: Chunk, api: str) -> Request:
    """The order for a chunk, read back before it is handed out."""
    body = build(chunk, api)
    verify(body, chunk, api)
    return Request("POST", "tnoptions", body=body)


def build(chunk: Chunk, api: str) -> bytes:
    """The order as a document: one TnOptionGroup for each set of values that has rows."""
    root = etree.Element("TnOptionOrder")
    xml.add(root, "CustomerOrderId", chunk.customer_order_id)
    groups = xml.add(root, "TnOptionGroups")
    counts = np.bincount(chunk.group, minlength=len(chunk.groups))
    for place in np.flatnonzero(counts).tolist():
        group = xml.add(groups, "TnOptionGroup")
        _write(group, _on_the_wire(chunk.groups[place], api))
        xml.add(group, "TelephoneNumbers")
    by_group = chunk.tns[np.argsort(chunk.group, kind="stable")]
    return xml.document(root, [*xml.tn_lots(by_group, counts[counts > 0].cumsum().tolist(), api)])


def _on_the_wire(values: Mapping[str, str], api: str) -> dict[str, str]:
    """The values as this version takes them, in the order of the elements."""
    wire = {setting: values[setting] for setting in _ELEMENTS if values.get(setting)}
    if _is_tn(wire.get("call_forward")):
        wire["call_forward"] = numbers.to_wire(int(wire["call_forward"]), api)
    if _is_tn(wire.get("final_destination_uri")):
        # "a 10 digit telephone number" in both versions' schema of FinalDestinationURI (format and character
        # set, which has no +); v2 takes a number that is not E.164 as a ten-digit one (CreateTnOptionOrder).
        wire["final_destination_uri"] = numbers.to_wire(int(wire["final_destination_uri"]), "v1")
    if "routes" in wire:
        # Unlike A2pSettings, a plan without an action has no documented meaning.
        wire.setdefault("route_action", "asSpecified")
    return wire


def _is_tn(value: str | None) -> bool:
    return value is not None and value.startswith("+") and "@" not in value


def _write(group: etree._Element, wire: Mapping[str, str]) -> None:
    for setting, value in wire.items():
        parent, _, name = _ELEMENTS[setting].rpartition("/")
        holder = group
        if parent:
            found = group.find(parent)
            holder = xml.add(group, parent) if found is None else found
        if setting != "routes":
            xml.add(holder, name, value)
            continue
        for text in value.split(";"):
            route = xml.add(holder, name)
            for field, part in zip(_ROUTE, text.split(","), strict=False):
                if part:
                    xml.add(route, field, part)


def verify(body: bytes, chunk: Chunk, api: str) -> None:
    """Read back what was built: each TN of the chunk once, under its own values, and nothing else.

    A difference would be a bug of ours: AssertionError, before anything is sent.
    """
    root = xml.parse(body, "TnOptionOrder")
    groups = root.findall("TnOptionGroups/TnOptionGroup")
    sizes = [len(lot) for group in groups for lot in group.findall("TelephoneNumbers")]
    tns = xml.tns_in(root, api)
    is_whole = len(sizes) == len(groups) and sum(sizes) == tns.size == chunk.tns.size
    if not is_whole or xml.text_of(root, "CustomerOrderId") != chunk.customer_order_id:
        raise AssertionError(f"chunk {chunk.number}: the order that was built is not the one that was planned")
    built, planned = np.argsort(tns), np.argsort(chunk.tns)
    # Sets of values that differ in the plan may be the same on the wire, hence numbers by what is meant.
    meant = [frozenset(_on_the_wire(values, api).items()) for values in chunk.groups]
    number = {values: place for place, values in enumerate(meant)}
    wanted = np.array([number[values] for values in meant])[chunk.group[planned]]
    found = np.repeat([number.get(frozenset(_read_back(group)), -1) for group in groups], sizes)[built]
    if not np.array_equal(tns[built], chunk.tns[planned]) or not np.array_equal(found, wanted):
        raise AssertionError(f"chunk {chunk.number}: TNs or values that were built are not those that were planned")


def _read_back(group: etree._Element) -> Iterator[tuple[str, str]]:
    """(setting, value on the wire) of all elements of a group but its TNs."""
    routes = []
    for child in group.iterchildren():
        if child.tag == "TelephoneNumbers":
            continue
        for leaf in child if len(child) else [child]:
            path = str(child.tag) if leaf is child else f"{child.tag!s}/{leaf.tag!s}"
            if len(leaf):
                routes.append(",".join(xml.text_of(leaf, field) for field in _ROUTE).rstrip(","))
            else:
                yield _SETTINGS.get(path, path), leaf.text or ""
    if routes:
        yield "routes", ";".join(routes)


#: CANCELLED and EXCEPTION are documented for the carrier's other orders; here, too, nothing would follow them.
_TERMINAL = {"COMPLETE", "PARTIAL", "FAILED", "CANCELLED", "EXCEPTION"}


def read(answer: Answer) -> Reading:
    """The answer to the post (`TnOptionOrderResponse`) or to a poll (a bare `TnOptionOrder`).

    Raises ProtocolError when it holds not exactly one order.
    """
    root = xml.parse(answer.body, "TnOptionOrderResponse", "TnOptionOrder", "TnOptionOrderReportResponse")
    orders = list(root.iter("TnOptionOrder"))
    if len(orders) != 1:
        raise ProtocolError(f"expected one TnOptionOrder, found {len(orders)}")
    order = orders[0]
    status = xml.text_of(order, "ProcessingStatus").upper() or None
    in_location = answer.headers.get("location", "").rpartition("/")[2]
    return Reading(
        order_id=next(filter(xml.is_id, (xml.text_of(order, "OrderId"), in_location)), None),
        customer_order_id=xml.text_of(order, "CustomerOrderId") or None,
        status=status,
        settled=status in _TERMINAL,
        issues=[*xml.errors_in(order), *xml.warnings_in(order)],
    )


def poll(order_id: str, _api: str) -> Request:
    """Ask for one order; InputError when the id could not be the carrier's."""
    if not xml.is_id(order_id):
        raise InputError(f"order id {order_id[:70]!r}: expected at most 64 letters, digits and dashes")
    return Request("GET", f"tnoptions/{order_id}")


def look_up(customer_order_id: str, _api: str) -> Request:
    """Ask for the orders that carry this CustomerOrderId."""
    return Request("GET", "tnoptions", query=(("customerOrderId", customer_order_id),), max_bytes=MAX_LIST_BYTES)


def recent(day: str, _api: str) -> Request:
    """Ask for the orders created since that day (YYYY-MM-DD)."""
    return Request("GET", "tnoptions", query=(("createdDateFrom", day),), max_bytes=MAX_LIST_BYTES)


#: A list never holds more; one that is this long was cut.
_LIST_CAP = 1_000


def orders(answer: Answer) -> list[tuple[str, str | None]] | None:
    """(order id, CustomerOrderId or None) of each order of a list; None unless the list is valid and complete.

    The list has three documented roots, and is empty, 204 or 404 when there is nothing.
    """
    if answer.status in {204, 404}:
        return [] if not answer.body.strip() or xml.refusal(answer) else None
    if (listed := _listed(answer)) is None:
        return None
    found, total = listed
    return None if total > len(found) or len(found) >= _LIST_CAP else list(found.items())


def some(answer: Answer) -> list[tuple[str, str | None]]:
    """The same of a list that may be cut; nothing of what is none."""
    listed = _listed(answer)
    return [] if listed is None else list(listed[0].items())


def _listed(answer: Answer) -> tuple[dict[str, str | None], int] | None:
    """What a list shows, and how many orders it says there are; None when it is no list."""
    if answer.status != 200:
        return None
    try:
        root = xml.parse(answer.body, "TnOptionOrderReportResponse", "TnOptionOrders")
    except ProtocolError:
        return None
    items = root.iter("TnOptionOrderSummary", "TnOptionOrder")
    found = {xml.text_of(item, "OrderId"): xml.text_of(item, "CustomerOrderId") or None for item in items}
    total = max(
        (int(n.text) for n in root.iter("TotalCount") if n.text and re.fullmatch(r"[0-9]{1,9}", n.text)),
        default=len(found),
    )
    is_list = any(True for _ in root.iter("TnOptionOrders", "TotalCount")) and root.find("ResponseStatus") is None
    return (found, total) if is_list and all(map(xml.is_id, found)) else None


def _max_rows(_settings: Any) -> int:
    # The guides say "up to 5,000 phone numbers at a time": we read that as an order's limit over all its groups.
    return 5_000


#: No valid TN or too many, a feature or permission that the account lacks (the carrier's tables of error codes).
_ORDER_CODES = ("5077", "5078", "5095", "5097", "5110", "5114", "5139", "5144", "5147", "5157", "5194", "13576")
#: The form of a value, or values that contradict each other.
_VALUE_CODES = (
    *("5079", "5080", "5081", "5082", "5089", "5107", "5108", "5109", "5113", "5115", "5117", "5118", "5119", "5120"),
    *("5121", "5122", "5132", "5134", "5138", "5140", "5141", "5142", "5143", "5184", "5185", "5186", "5187", "5188"),
    *("5189", "5190", "5191", "5192", "5193"),
)

OPERATION = Operation(
    name="tn-options",
    summary="line options: failover, forwarding, messaging, caller name, passcode, routes",
    settings=Settings,
    talk=Order(post=post, read=read, poll=poll, find=Find(look_up=look_up, orders=orders, recent=recent, some=some)),
    max_rows=_max_rows,
    path={"v1": "tnoptions", "v2": "tnoptions"},
    check=check,
    secret=("port_out_passcode",),
    options=("sip_prefix",),
    agree=agree,
    blame=dict.fromkeys(_ORDER_CODES, "order") | dict.fromkeys(_VALUE_CODES, "value"),
    destinations=("call_forward", "final_destination_uri"),
)
