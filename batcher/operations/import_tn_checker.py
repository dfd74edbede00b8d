"""`import-tn-checker`: could these TNs be imported for hosted messaging? Asks, and changes nothing.

The answer comes at once and is no promise: the import itself may still be refused.
"""

from __future__ import annotations

from typing import Any

from lxml import etree
from pydantic import BaseModel, ConfigDict

from batcher.carrier import xml
from batcher.errors import ProtocolError
from batcher.model import Answer, Check, Chunk, Column, Operation, Product, Reading, Request
from batcher.tn import from_wire


class Settings(BaseModel):
    """Where the TNs would be imported to; each is one id for every TN or a column."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)

    site_id: int | str | Column | None = None
    """Id of the sub-account (site); required."""
    sippeer_id: int | str | Column | None = None
    """Id of the location (SIP peer); the site's default location when left out."""


def check(_setting: str, cell: str, _settings: Settings) -> str:
    """The id as it is sent; ValueError when it can be none."""
    cell = cell.strip()
    if not xml.is_id(cell):
        raise ValueError(f"{cell[:60]!r} is not an id: at most 64 letters, digits and dashes")
    return cell


def post(chunk: Chunk, api: str) -> Request:
    """The question for a chunk; all its rows share site and location."""
    root = etree.Element("ImportTnCheckerPayload")
    xml.add(root, "TelephoneNumbers")
    xml.add(root, "SiteId", chunk.envelope["site_id"])
    if chunk.envelope.get("sippeer_id"):
        xml.add(root, "SipPeerId", chunk.envelope["sippeer_id"])
    return Request("POST", "importTnChecker", body=xml.document(root, [xml.tn_rows(chunk.tns, api)]))


def read(answer: Answer) -> Reading:
    """What a 200 says: the TNs that can be imported as products without values, and why others cannot.

    Raises ProtocolError when the answer holds no payload.
    """
    root = xml.parse(answer.body, "ImportTnCheckerResponse")
    payload = root.find("ImportTnCheckerPayload")
    if payload is None:
        raise ProtocolError("the answer holds no ImportTnCheckerPayload")
    importable = [Product(from_wire(tn.text or ""), ()) for tn in payload.iterfind("TelephoneNumbers/TelephoneNumber")]
    return Reading(status="COMPLETE", settled=True, issues=xml.errors_in(root), products=importable)


def _max_rows(_settings: Any) -> int:
    return 5_000


OPERATION = Operation(
    name="import-tn-checker",
    summary="can these TNs be imported for hosted messaging? changes nothing",
    settings=Settings,
    talk=Check(post=post, read=read),
    max_rows=_max_rows,
    path={"v1": "importTnChecker", "v2": "importTnChecker"},
    check=check,
    envelope=("site_id", "sippeer_id"),
    required=("site_id",),
    # The API is not enabled, or the site is none.
    blame=dict.fromkeys(("5149", "5150", "12016", "12527"), "order"),
)
