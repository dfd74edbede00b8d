"""`sippeer-failover`: the failover destination of whole locations (SIP peers).

The carrier's PUT overwrites the record: whatever is left out reverts to null. So the record is read, written
back whole with one element changed, and read again.
"""

from __future__ import annotations

import copy
import ipaddress
import re
from collections.abc import Mapping
from typing import Any

from lxml import etree
from pydantic import BaseModel, ConfigDict

from batcher import tn as numbers
from batcher.carrier import xml
from batcher.errors import ProtocolError
from batcher.model import Answer, Chunk, Column, Ensure, Operation, Request


class Settings(BaseModel):
    """Which location, and where its calls go when its hosts cannot be reached."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)

    site_id: int | str | Column | None = None
    """Id of the sub-account (site); required."""
    sippeer_id: int | str | Column | None = None
    """Id of the location (SIP peer); required."""
    final_destination_uri: str | Column | None = None
    """sip:{address}@{host}[:port], or +1NPANXXXXXX@PSTN for a telephone number; required."""


_DESTINATION = "FinalDestinationUri"
#: What stands before the destination in the carrier's examples of a record.
_BEFORE = ("PeerId", "PeerName", "Description", "IsDefaultPeer")

_PSTN = re.compile(r"(?P<tn>\+1[0-9]{10})@PSTN", re.ASCII | re.IGNORECASE)
_SIP = re.compile(
    r"sip:(?P<address>\+?[A-Za-z0-9._-]{1,64})@(?P<host>[A-Za-z0-9.-]{1,253})(?::(?P<port>[0-9]{1,5}))?",
    re.ASCII | re.IGNORECASE,
)
_HOST_NAME = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}", re.ASCII)
_SERVICE_CODE = re.compile(r"[2-9]11", re.ASCII)


def check(setting: str, cell: str, _settings: Settings) -> str:
    """The value as it is sent; ValueError says why it cannot be."""
    cell = cell.strip()
    if setting == "final_destination_uri":
        return _destination(cell)
    if not xml.is_id(cell):
        raise ValueError(f"{cell[:60]!r} is not an id: at most 64 letters, digits and dashes")
    return cell


def _destination(cell: str) -> str:
    """The form of the carrier's failover guide; a location has no word for "none"."""
    shown = repr(cell[:80])
    pstn, sip = _PSTN.fullmatch(cell), _SIP.fullmatch(cell)
    if pstn:
        tn, reason, _ = numbers.parse(pstn["tn"])
        if reason:
            raise ValueError(f"{shown} is no +1 number to send calls to. {numbers.REASONS[reason].hint}")
        return f"+{tn}@PSTN"
    if not sip:
        raise ValueError(f"{shown} is neither sip:address@host[:port] nor +1NPANXXXXXX@PSTN, as a location wants it")
    if _SERVICE_CODE.fullmatch(sip["address"]):
        raise ValueError(f"{shown} names the service code {sip['address']}; calls must not be sent there")
    if not _is_host(sip["host"]):
        raise ValueError(f"{shown}: the host is neither an IPv4 address nor a host name")
    if sip["port"] and not 1 <= int(sip["port"]) <= 65_535:
        raise ValueError(f"{shown}: the port is not a number from 1 to 65535")
    return f"sip:{cell[4:]}"


def _is_host(host: str) -> bool:
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return _HOST_NAME.fullmatch(host) is not None
    return True


def get(chunk: Chunk, _api: str) -> Request:
    """Ask for the record."""
    return Request("GET", _path(_values(chunk)))


def decide(answer: Answer, chunk: Chunk, _api: str) -> Request | None:
    """The PUT of the whole record with the new destination; None where it stands there already.

    Every other element goes back exactly as it came, save PeerId: the request schema has none, the path says
    it. Raises ProtocolError when the answer is not the record of this location.
    """
    values = _values(chunk)
    record = _record(answer, values)
    wanted = values["final_destination_uri"]
    if xml.text_of(record, _DESTINATION) == wanted:
        return None
    changed = copy.deepcopy(record)
    for read_only in changed.findall("PeerId"):
        changed.remove(read_only)
    _set_destination(changed, wanted)
    changed.tail = None
    return Request("PUT", _path(values), body=xml.document(changed))


def holds(answer: Answer, chunk: Chunk) -> bool:
    """Whether the record that was read back has the destination; ProtocolError as in `decide`."""
    values = _values(chunk)
    return xml.text_of(_record(answer, values), _DESTINATION) == values["final_destination_uri"]


def _values(chunk: Chunk) -> Mapping[str, str]:
    return chunk.groups[int(chunk.group[0])]


def _path(values: Mapping[str, str]) -> str:
    return f"sites/{values['site_id']}/sippeers/{values['sippeer_id']}"


def _record(answer: Answer, values: Mapping[str, str]) -> etree._Element:
    root = xml.parse(answer.body, "SipPeerResponse")
    record = root.find("SipPeer")
    # Without its name the record is not whole, and a PUT of it would be refused or wipe the rest.
    if record is None or len(root.findall("SipPeer")) > 1 or not xml.text_of(record, "PeerName"):
        raise ProtocolError("the answer holds no readable record of the location")
    if xml.text_of(record, "PeerId") not in {"", values["sippeer_id"]}:
        raise ProtocolError(f"the answer is the record of another location than {values['sippeer_id']}")
    return record


def _set_destination(record: etree._Element, destination: str) -> None:
    element = record.find(_DESTINATION)
    if element is None:
        element = etree.Element(_DESTINATION)
        record.insert(sum(child.tag in _BEFORE for child in record), element)
    element.text = destination


def _max_rows(_settings: Any) -> int:
    return 1


OPERATION = Operation(
    name="sippeer-failover",
    summary="failover destination of whole locations; the rest of the record stays as it is",
    settings=Settings,
    talk=Ensure(get=get, decide=decide, holds=holds),
    max_rows=_max_rows,
    path=dict.fromkeys(("v1", "v2"), "sites/{site_id}/sippeers/{sippeer_id}"),
    check=check,
    key=("site_id", "sippeer_id"),
    required=("site_id", "sippeer_id", "final_destination_uri"),
)
