"""Reading a tnoptions order, and everything for which the carrier refuses it as a whole (openapi: CreateTnOptionOrder).

Codes and texts are those of the carrier's published error list. What goes wrong with a single TN later is not
decided here.
"""

from __future__ import annotations

import ipaddress
import re
import xml.etree.ElementTree as ET  # ruff: ignore[suspicious-xml-etree-import] - parse refuses doctypes, and with them entities
from dataclasses import dataclass
from functools import lru_cache
from xml.sax.saxutils import escape

import numpy as np

from batcher.simulator.numbers import Tns, read_tn, read_tns, wire

MAX_TNS_PER_ORDER = 5_000

#: What a group may set, apart from its TNs.
OPTION_ELEMENTS = frozenset(
    [
        "NumberFormat",
        "RPIDFormat",
        "RewriteUser",
        "CallForward",
        "CallingNameDisplay",
        "PortOutPasscode",
        "Protected",
        "Sms",
        "FinalDestinationURI",
        "NNID",
        "ESPID",
        "PindropEnabled",
        "CallVerificationEnabled",
        "A2pSettings",
        "OriginationRoutePlan",
    ]
)

_FORMATS = frozenset({"10digit", "11digit", "e164", "unchanged", "systemDefault"})
_CUSTOMER_ORDER_ID = re.compile(r"[A-Za-z0-9 -]{0,40}")
_PASSCODE = re.compile(r"[A-Za-z0-9]{4,10}")
_URI = re.compile(r"(?P<name>[^@:]+)@(?P<host>[^@:]+)(?::(?P<port>[0-9]{1,5}))?")
_URI_CHARACTERS = re.compile(r"[A-Za-z0-9+:.@_-]+")


class Refused(Exception):
    """The request is refused as a whole; nothing is executed. The route puts it into its own envelope."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code} {text}")
        self.code = code
        self.text = text


@dataclass(frozen=True)
class Draft:
    """A tnoptions order that would be accepted."""

    customer_order_id: str | None
    #: distinct, ascending
    tns: Tns
    #: the groups as XML, TNs and call forwards in E.164
    groups: str


def parse(body: bytes, root: str) -> ET.Element:
    """The request's root element; refuses what is not XML and what has another root."""
    try:
        # Without a doctype there are no entities, which is all that makes this parser dangerous.
        found = None if b"<!DOCTYPE" in body else ET.fromstring(body)  # ruff: ignore[suspicious-xml-element-tree-usage]
    except ET.ParseError:
        found = None
    if found is None:
        raise Refused("400", "The request body is not valid XML.")
    if found.tag != root:
        raise Refused("400", f"Unexpected element {found.tag}, expected {root}.")
    return found


def read_order(body: bytes, *, api: str, refuses_sip_prefix: bool) -> Draft:
    """What the order asks for; Refused with the carrier's code otherwise."""
    order = parse(body, "TnOptionOrder")
    customer_order_id = order.findtext("CustomerOrderId")
    if customer_order_id is not None and not _CUSTOMER_ORDER_ID.fullmatch(customer_order_id):
        raise Refused(
            "5052",
            "Customer order ID is invalid. Only alphanumeric values, dashes and spaces are allowed. "
            "Max length is 40 characters.",
        )
    groups = order.findall("TnOptionGroups/TnOptionGroup")
    if not groups:
        raise Refused("5073", "Telephone number is required.")
    options = [_options(group, api, refuses_sip_prefix) for group in groups]
    texts = [_texts(group) for group in groups]
    tns = _checked([text for group in texts for text in group], api)
    return Draft(customer_order_id, np.sort(tns), _canonical(options, texts, tns))


def _options(group: ET.Element, api: str, refuses_sip_prefix: bool) -> str:
    """The group's settings as XML, each checked."""
    parts = []
    for child in group:
        if child.tag not in OPTION_ELEMENTS:
            continue
        if len(child):
            child.tail = None
            parts.append(ET.tostring(child, encoding="unicode"))
            continue
        value = (child.text or "").strip()
        if refusal := _refusal(child.tag, value, api, refuses_sip_prefix):
            raise Refused(*refusal)
        if child.tag == "CallForward" and (tn := read_tn(value, api)):
            value = wire(tn, "v2")
        parts.append(f"<{child.tag}>{escape(value)}</{child.tag}>")
    if not parts:
        raise Refused("5115", "At least one of the TN option attributes must be applied for TnOptionGroup")
    return "".join(parts)


def _texts(group: ET.Element) -> list[str]:
    texts = [(child.text or "").strip() for child in group.iter("TelephoneNumber")]
    if not texts:
        raise Refused("5073", "Telephone number is required.")
    return texts


def _checked(texts: list[str], api: str) -> Tns:
    if len(texts) > MAX_TNS_PER_ORDER:
        raise Refused(
            "5095", f"The count of telephone numbers in order exceeds the maximum size of {MAX_TNS_PER_ORDER}"
        )
    tns = read_tns(texts, api)
    if not tns.all():
        raise Refused("5070", "Telephone number is invalid.")
    ordered = np.sort(tns)
    if (ordered[1:] == ordered[:-1]).any():
        raise Refused("5093", "Order cannot contain duplicate telephone numbers")
    return tns


def _canonical(options: list[str], texts: list[list[str]], tns: Tns) -> str:
    """The groups written again, in the order of the request, so that either version can be made of them."""
    digits = list(map(str, tns.tolist()))
    parts, start = [], 0
    for option, group in zip(options, texts, strict=True):
        end = start + len(group)
        numbers = "</TelephoneNumber><TelephoneNumber>+".join(digits[start:end])
        parts.append(
            f"<TnOptionGroup>{option}<TelephoneNumbers><TelephoneNumber>+{numbers}</TelephoneNumber></TelephoneNumbers>"
            "</TnOptionGroup>"
        )
        start = end
    return "".join(parts)


@lru_cache(maxsize=100_000)
def _refusal(tag: str, value: str, api: str, refuses_sip_prefix: bool) -> tuple[str, str] | None:
    """Code and text when the carrier does not take this value of this element."""
    match tag:
        case "NumberFormat" if value not in _FORMATS:
            return "5081", f"Number Format '{value}' is invalid."
        case "RPIDFormat" if value not in _FORMATS:
            return "5089", f"RPID Format '{value}' is invalid."
        case "CallForward" if value not in {"unchanged", "systemDefault"} and not read_tn(value, api):
            return "5080", f"Call Forwarding number '{value}' is not a valid 10-digit telephone number."
        case "CallingNameDisplay" if value not in {"on", "off", "unchanged", "systemDefault"}:
            return (
                "5079",
                f"CallingNameDisplay '{value}' is invalid. Valid values are: on, off, unchanged, systemDefault",
            )
        case "Protected" if value.lower() not in {"true", "false", "unchanged", "systemdefault"}:
            return "5108", f"Protected attribute '{value}' is invalid. Valid values: TRUE, FALSE, UNCHANGED"
        case "Sms" if value not in {"on", "off", "unchanged"}:
            return "5113", f"Sms '{value}' is invalid. Valid values are: on, off, unchanged"
        case "PortOutPasscode" if value not in {"unchanged", "systemDefault"} and not _PASSCODE.fullmatch(value):
            return "5193", (
                "Port-Out Passcode is invalid. Passcode should has between 4 and 10 alpha-numeric characters "
                "| unchanged | systemDefault"
            )
        case "FinalDestinationURI" if value not in {"unchanged", "systemDefault"}:
            return _uri_refusal(value, api, refuses_sip_prefix)
    return None


def _uri_refusal(value: str, api: str, refuses_sip_prefix: bool) -> tuple[str, str] | None:
    """Ten digits (v2: E.164), or name@ipv4[:port] of 10 to 60 characters.

    The documents forbid the prefix `sip:` and their examples show it (API.md 3.1): the account decides.
    """
    if len(value) > 60:
        return "5117", "FinalDestinationURI is too long (60 characters max)."
    if value.lower().startswith("sip:"):
        if refuses_sip_prefix:
            return "5120", "FinalDestinationURI cannot begin with 'sip:'."
        value = value[4:]
    if re.fullmatch(r"\+?[0-9]+", value):
        return None if read_tn(value, api) else ("5118", "FinalDestinationURI is not a valid telephone number.")
    uri = _URI.fullmatch(value)
    if uri is None or len(value) < 10 or int(uri["port"] or 1) not in range(1, 65_536):
        return "5122", "The format of the FinalDestinationURI needs to match the form 'name@ip-address:port'."
    if not _URI_CHARACTERS.fullmatch(value):
        return "5121", "FinalDestinationURI can contain only alphanumerics."
    try:
        ipaddress.IPv4Address(uri["host"])
    except ValueError:
        return "5119", "FinalDestinationURI host portion must be a valid IPv4 address."
    return None
