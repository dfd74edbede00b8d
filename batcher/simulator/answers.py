"""What the simulated carrier writes: XML from string templates, with the published roots, names and nesting.

It knows nothing of HTTP and decides nothing. The shapes are those of openapi_v1.yml and openapi_v2.yml.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple
from xml.sax.saxutils import escape

from batcher.simulator.numbers import is_nanp, wire
from batcher.simulator.orders import Order

_DECLARATION = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_PASSCODE = re.compile(r"<PortOutPasscode>[^<]*</PortOutPasscode>")


@dataclass(frozen=True, slots=True)
class Reply:
    """Status, text and headers of one answer; no text is an empty body."""

    status: int
    text: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


class Remark(NamedTuple):
    """An error or warning about one TN; warnings have no code."""

    tn: int
    code: str
    text: str


def document(xml: str) -> str:
    """With the declaration the carrier writes."""
    return _DECLARATION + xml


def element(name: str, text: object) -> str:
    """One element of escaped text."""
    return f"<{name}>{escape(str(text))}</{name}>"


def moment(seconds: float) -> str:
    """Epoch seconds as `yyyy-MM-dd'T'HH:mm:ss.SSS'Z'`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def response_status(root: str, code: str, text: str) -> str:
    """The usual refusal; the code is left out where there is none (GetTnOptionOrder 404)."""
    inner = (element("ErrorCode", code) if code else "") + element("Description", text)
    return document(f"<{root}><ResponseStatus>{inner}</ResponseStatus></{root}>")


def flat_errors(root: str, errors: Iterable[tuple[str, str]]) -> str:
    """The refusal of checks and imports: `Errors` repeated, one each (CreateRequestImportTnChecker 400)."""
    inner = "".join(f"<Errors>{element('Code', code)}{element('Description', text)}</Errors>" for code, text in errors)
    return document(f"<{root}>{inner}</{root}>")


def order(
    found: Order, *, api: str, status: str, modified: float, errors: Sequence[Remark], warnings: Sequence[Remark]
) -> str:
    """`<TnOptionOrder>` with its groups echoed; no declaration, as it also stands inside others."""
    customer = "" if found.customer_order_id is None else element("CustomerOrderId", found.customer_order_id)
    return (
        "<TnOptionOrder>"
        f"{element('OrderCreateDate', moment(found.created))}{element('AccountId', found.account_id)}"
        f"{element('CreatedByUser', found.user)}{element('OrderId', found.order_id)}"
        f"{element('LastModifiedDate', moment(modified))}{element('ProcessingStatus', status)}{customer}"
        f"<TnOptionGroups>{_echo(found.groups(), api)}</TnOptionGroups>"
        f"{_errors(errors, api)}{_warnings(warnings, api)}"
        "</TnOptionOrder>"
    )


def _echo(groups: str, api: str) -> str:
    """The groups as that version shows them; the passcode is left out, as the carrier does at times."""
    shown = _PASSCODE.sub("", groups).replace(">systemDefault<", ">systemdefault<")
    if api == "v1":
        shown = shown.replace("<TelephoneNumber>+1", "<TelephoneNumber>").replace("<CallForward>+1", "<CallForward>")
    return shown


def _errors(remarks: Sequence[Remark], api: str) -> str:
    """One TN to each error, as tnoptions does it."""
    if not remarks:
        return "<ErrorList/>"
    inner = "".join(
        f"<Error>{element('Code', remark.code) if remark.code else ''}{element('Description', remark.text)}"
        f"<TelephoneNumber>{wire(remark.tn, api)}</TelephoneNumber></Error>"
        for remark in remarks
    )
    return f"<ErrorList>{inner}</ErrorList>"


def _warnings(remarks: Sequence[Remark], api: str) -> str:
    """Absent when there are none; without codes."""
    if not remarks:
        return ""
    inner = "".join(
        f"<Warning><TelephoneNumber>{wire(remark.tn, api)}</TelephoneNumber>{element('Description', remark.text)}"
        "</Warning>"
        for remark in remarks
    )
    return f"<Warnings>{inner}</Warnings>"


def summary(found: Order, *, status: str, modified: float, with_customer_order_id: bool) -> str:
    """One line of the list; the status is called OrderStatus here."""
    shown = with_customer_order_id and found.customer_order_id is not None
    customer = element("CustomerOrderId", found.customer_order_id) if shown else ""
    return (
        "<TnOptionOrderSummary>"
        f"{element('accountId', found.account_id)}{element('CountOfTNs', len(found.tns))}{customer}"
        f"{element('userId', found.user)}{element('lastModifiedDate', moment(modified))}"
        f"{element('OrderDate', moment(found.created))}<OrderType>tn_option</OrderType>"
        f"{element('OrderStatus', status)}{element('OrderId', found.order_id)}"
        "</TnOptionOrderSummary>"
    )


def order_list(total: int, orders: Iterable[str]) -> str:
    """The list in the form of the carrier's own clients (API.md 3.1, root c)."""
    return document(f"<TnOptionOrders>{element('TotalCount', total)}{''.join(orders)}</TnOptionOrders>")


def _numbers(texts: Iterable[str]) -> str:
    inner = "</TelephoneNumber><TelephoneNumber>".join(texts)
    if not inner:
        return "<TelephoneNumbers/>"
    return f"<TelephoneNumbers><TelephoneNumber>{inner}</TelephoneNumber></TelephoneNumbers>"


def grouped(name: str, errors: Mapping[tuple[str, str], Sequence[str]]) -> str:
    """Errors by (code, text), each with its list of TNs."""
    return "".join(
        f"<{name}>{element('Code', code)}{element('Description', text)}{_numbers(map(escape, texts))}</{name}>"
        for (code, text), texts in errors.items()
    )


def checker(importable: Sequence[int], errors: Mapping[tuple[str, str], Sequence[str]], api: str) -> str:
    """The answer of importTnChecker; without errors the element is empty."""
    listed = f"<ImportTnErrors>{grouped('ImportTnError', errors)}</ImportTnErrors>"
    return document(
        "<ImportTnCheckerResponse><ImportTnCheckerPayload>"
        f"{_numbers(wire(tn, api) for tn in importable)}{listed if errors else '<ImportTnErrors/>'}"
        "</ImportTnCheckerPayload></ImportTnCheckerResponse>"
    )


def tn_list(tns: Sequence[int], errors: Mapping[tuple[str, str], Sequence[str]], *, api: str, account_id: str) -> str:
    """The answer of `POST /tns`: the TNs that the account holds, and the others by error."""
    numbers = "".join(f"<TelephoneNumber>{_inventory(tn, api, account_id)}</TelephoneNumber>" for tn in tns)
    listed = f"<ErrorList>{grouped('Error', errors)}</ErrorList>" if errors else ""
    return document(
        f"<TelephoneNumbersResponse><TelephoneNumberCount>{len(tns)}</TelephoneNumberCount>"
        '<Links><first>Link=&lt;https://dashboard.bandwidth.com/api/tns&gt;;rel="first";</first></Links>'
        f"<TelephoneNumbers>{numbers}</TelephoneNumbers>{listed}</TelephoneNumbersResponse>"
    )


def _inventory(tn: int, api: str, account_id: str) -> str:
    place = "<City>RALEIGH</City><Lata>426</Lata><State>NC</State>" if is_nanp(tn) else ""
    centre = "<RateCenter>RALEIGH</RateCenter>" if is_nanp(tn) else ""
    return (
        f"{place}<FullNumber>{wire(tn, api)}</FullNumber><Tier>0</Tier><VendorId>49</VendorId>"
        f"<VendorName>Bandwidth CLEC</VendorName>{centre}<Status>Inservice</Status>{element('AccountId', account_id)}"
        "<LastModified>2014-07-30T11:29:37.000Z</LastModified>"
    )


def tn_details(tn: int, options: Mapping[str, str], *, api: str, account_id: str) -> str:
    """What `tndetails` shows; call forward, passcode and final destination are not among it (API.md 4.3)."""
    place = "<City>RALEIGH</City><Lata>426</Lata><State>NC</State>" if is_nanp(tn) else ""
    country = "" if is_nanp(tn) else "<TnType>geographic</TnType>"
    centre = "<RateCenter>RALEIGH</RateCenter>" if is_nanp(tn) else ""
    sms = "false" if options.get("Sms") == "off" else "true"
    is_protected = options.get("Protected", "").lower() == "true"
    attributes = "<TnAttributes><TnAttribute>Protected</TnAttribute></TnAttributes>" if is_protected else ""
    return document(
        f"<TelephoneNumberResponse><TelephoneNumberDetails>{place}<FullNumber>{wire(tn, api)}</FullNumber>{country}"
        "<Tier>0</Tier><VendorId>49</VendorId><VendorName>Bandwidth CLEC</VendorName><OnNetVendor>true</OnNetVendor>"
        f"{centre}<Status>Inservice</Status>{element('AccountId', account_id)}"
        "<Site><Id>486</Id><Name>site</Name></Site>"
        "<SipPeer><PeerId>500025</PeerId><PeerName>sippeer</PeerName><IsDefaultPeer>true</IsDefaultPeer></SipPeer>"
        "<ServiceTypes><ServiceType>Voice</ServiceType><ServiceType>Messaging</ServiceType></ServiceTypes>"
        "<LastModified>2014-07-30T11:29:37.000Z</LastModified><InServiceDate>2014-07-30T11:29:37.000Z</InServiceDate>"
        f"<Features/><MessagingSettings><SmsEnabled>{sms}</SmsEnabled></MessagingSettings>{attributes}"
        "</TelephoneNumberDetails></TelephoneNumberResponse>"
    )
