"""Where calls may be sent: the forms of a destination for a TN, for a location, and in a route.

ValueError says why the carrier would refuse one. Codes are those of `carrier/error_codes.tsv`.
"""

from __future__ import annotations

import ipaddress
import re

from batcher import tn as numbers

_SERVICE_CODE = re.compile(r"[2-9]11", re.ASCII)
_URI = re.compile(r"(?P<name>\+?[A-Za-z0-9]+(?:\.[A-Za-z0-9]+)*)@(?P<host>[^@:]+)(?::(?P<port>[^:]*))?", re.ASCII)
_LOCATION = re.compile(r".*@pstn", re.IGNORECASE)
_FQDN = re.compile(r"(?=.{4,253}$)(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}", re.ASCII)
_ROUTE_SIP = re.compile(r"sip:(?P<name>[^\s@]+)@(?P<host>[^\s@:]+)(?::(?P<port>[^\s@:]+))?", re.ASCII)
_PSTN = re.compile(r"(?P<tn>\+1[0-9]{10})@PSTN", re.ASCII | re.IGNORECASE)
_LOCATION_SIP = re.compile(
    r"sip:(?P<address>\+?[A-Za-z0-9._-]{1,64})@(?P<host>[A-Za-z0-9.-]{1,253})(?::(?P<port>[0-9]{1,5}))?",
    re.ASCII | re.IGNORECASE,
)
_ROUTE_TYPES = {word.casefold(): word for word in ("TN", "IPv4", "SIP", "FQDN")}


def shown(cell: str) -> str:
    return repr(cell if len(cell) <= 60 else f"{cell[:57]}...")


def printable(cell: str, most: int) -> str:
    # What cannot be printed cannot stand in XML either, or would be invisible there.
    if not 1 <= len(cell) <= most or not cell.isprintable():
        raise ValueError(f"{shown(cell)} is not 1 to {most} printable characters")
    return cell


def dialable(cell: str) -> int:
    """A TN that calls can be sent to: North American in any form that a TN column may have (5080, 5118)."""
    if _SERVICE_CODE.fullmatch(cell):
        raise ValueError(f"{cell} is a service code; calls must not be sent there")
    tn, reason, _ = numbers.parse(cell)
    if reason:
        is_abroad = reason == numbers.REASON["COUNTRY_UNKNOWN"]
        hint = "The carrier takes ten-digit numbers alone here." if is_abroad else numbers.REASONS[reason].hint
        raise ValueError(f"{shown(cell)} is no +1 number to send calls to. {hint}")
    return tn


def of_tn(cell: str, sip_prefix: str) -> str:
    """A TN or name@ipv4[:port] of 10 to 60 characters (codes 5117 to 5122)."""
    if "@" not in cell and not cell.lower().startswith(("sip:", "sips:")):
        return f"+{dialable(cell)}"
    if _LOCATION.fullmatch(cell):
        raise ValueError(f"{shown(cell)} is the form for a location; for a TN write the ten digits without @PSTN")
    has_prefix = cell[:4].lower() == "sip:"
    if has_prefix and sip_prefix == "refuse":
        raise ValueError(f'{shown(cell)} begins with sip:, which the carrier refuses (sip_prefix = "strip" removes it)')
    uri = cell[4:] if has_prefix else cell
    _address(uri)
    sent = f"sip:{uri}" if has_prefix and sip_prefix == "keep" else uri
    if not 10 <= len(sent) <= 60:
        raise ValueError(f"{shown(cell)} has {len(sent)} characters; a final destination has 10 to 60")
    return sent


def _address(uri: str) -> None:
    parts = _URI.fullmatch(uri)
    if not parts:
        raise ValueError(f"{shown(uri)} is neither a telephone number nor name@ipv4[:port] with letters and digits")
    if _SERVICE_CODE.fullmatch(parts["name"]):
        raise ValueError(f"{shown(uri)} names the service code {parts['name']}; calls must not be sent there")
    if not _is_ipv4(parts["host"]):
        raise ValueError(f"{shown(uri)}: the host {parts['host']!r} is not an IPv4 address")
    if not _is_port(parts["port"]):
        raise ValueError(f"{shown(uri)}: the port {parts['port']!r} is not a number from 1 to 65535")


def _is_port(text: str | None) -> bool:
    return text is None or (re.fullmatch(r"[1-9][0-9]{0,4}", text, re.ASCII) is not None and int(text) <= 65_535)


def _is_ipv4(host: str) -> bool:
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True


def routes(cell: str) -> str:
    each = [_route(text.strip()) for text in cell.split(";") if text.strip()]
    if not each:
        raise ValueError('there is no route in it; to remove the routes of a TN set route_action = "off"')
    if len({(endpoint.casefold(), priority) for endpoint, priority, *_ in each}) < len(each):
        raise ValueError("an endpoint stands twice in one priority")  # 5186
    priorities = {int(priority) for _, priority, *_ in each}
    gap = next((n for n in range(1, len(priorities) + 1) if n not in priorities), None)
    if gap:
        raise ValueError(f"priorities run from 1 without a gap; priority {gap} is missing")  # 5223
    return ";".join(",".join(route).rstrip(",") for route in each)


def _route(text: str) -> tuple[str, str, str, str, str]:
    fields = [field.strip() for field in text.split(",")]
    if not 3 <= len(fields) <= 5:
        raise ValueError(f"{shown(text)} is not endpoint,priority,weight[,type[,name]]")
    endpoint, priority, weight, kind, name = [*fields, "", ""][:5]
    if not all(re.fullmatch(r"[1-9][0-9]{0,3}", number, re.ASCII) for number in (priority, weight)):
        raise ValueError(f"{shown(text)}: priority and weight are whole numbers from 1")  # 5187, 5189
    endpoint, is_a = _endpoint(endpoint)
    if kind and _ROUTE_TYPES.get(kind.casefold()) != is_a:
        raise ValueError(f"{shown(text)}: the endpoint is of type {is_a}, not {kind!r}")
    return endpoint, priority, weight, is_a if kind else "", printable(name, 64) if name else ""


def _endpoint(endpoint: str) -> tuple[str, str]:
    """A route's endpoint and its type; TNs stay ten digits in both versions (codes 5188, 5201)."""
    if _is_ipv4(endpoint):
        return endpoint, "IPv4"
    sip = _ROUTE_SIP.fullmatch(endpoint) if endpoint.isprintable() else None
    if sip and _SERVICE_CODE.fullmatch(sip["name"]):
        raise ValueError(f"{shown(endpoint)} names the service code {sip['name']}; calls must not be sent there")
    if sip and _is_port(sip["port"]) and (_is_ipv4(sip["host"]) or _FQDN.fullmatch(sip["host"])):
        return endpoint, "SIP"
    if _FQDN.fullmatch(endpoint):
        return endpoint, "FQDN"
    return numbers.to_wire(dialable(endpoint), "v1"), "TN"


def of_location(cell: str) -> str:
    """`sip:address@host[:port]` or `+1NPANXXXXXX@PSTN`, the forms of the carrier's failover guide."""
    pstn, sip = _PSTN.fullmatch(cell), _LOCATION_SIP.fullmatch(cell)
    if pstn:
        return f"+{dialable(pstn['tn'])}@PSTN"
    if not sip:
        raise ValueError(
            f"{shown(cell)} is neither sip:address@host[:port] nor +1NPANXXXXXX@PSTN, as a location wants it"
        )
    if _SERVICE_CODE.fullmatch(sip["address"]):
        raise ValueError(f"{shown(cell)} names the service code {sip['address']}; calls must not be sent there")
    if not _is_ipv4(sip["host"]) and not _FQDN.fullmatch(sip["host"]):
        raise ValueError(f"{shown(cell)}: the host is neither an IPv4 address nor a host name")
    if not _is_port(sip["port"]):
        raise ValueError(f"{shown(cell)}: the port is not a number from 1 to 65535")
    return f"sip:{cell[4:]}"
