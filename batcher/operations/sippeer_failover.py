"""`sippeer-failover`: the failover destination of whole locations (SIP peers).

The carrier's PUT overwrites the record: whatever is left out reverts to null. So the record is read, written
back whole with one element changed, and read again.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from lxml import etree
from pydantic import BaseModel, ConfigDict

from batcher.carrier import destination, xml
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
    """sip:{address}@{host}[:port], or +1NPANXXXXXX@PSTN for a telephone number."""


_DESTINATION = "FinalDestinationUri"
#: What stands before the destination in the carrier's examples of a record.
_BEFORE = ("PeerId", "PeerName", "Description", "IsDefaultPeer")


def check(setting: str, cell: str, _settings: Settings) -> str:
    """The value as it is sent; ValueError says why it cannot be."""
    cell = cell.strip()
    if setting == "final_destination_uri":
        return destination.of_location(cell)
    if not xml.is_id(cell):
        raise ValueError(f"{cell[:60]!r} is not an id: at most 64 letters, digits and dashes")
    return cell


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
    return Request("PUT", _path(values), body=etree.tostring(changed, encoding="UTF-8", xml_declaration=True))


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
    required=("site_id", "sippeer_id"),
)
