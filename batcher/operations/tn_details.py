"""`tn-details`: what the carrier knows about TNs: status, account, location, features.

`full` asks for one TN at a time; `summary` for 2,500 at once, without location and features.
"""

from __future__ import annotations

from collections.abc import Sequence
from http.client import responses
from typing import Any, Literal

from lxml import etree
from pydantic import BaseModel, ConfigDict

from batcher import tn as numbers
from batcher.carrier import xml
from batcher.errors import ProtocolError
from batcher.model import MAX_LIST_BYTES, Answer, Chunk, Issue, Operation, Product, Read, Reading, Request


class Settings(BaseModel):
    """How much is asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)

    detail: Literal["full", "summary"] = "full"
    """full: everything, one request a TN; summary: what stands in the inventory, one request for 2,500 TNs."""


#: Column and where its value stands: in a `TelephoneNumberDetails`, and as far as it goes in a summary.
#: A path that ends in * gathers all values, separated by `;`; of several paths the first with a value counts.
_PATHS = {
    "status": ("Status",),
    "account_id": ("AccountId",),
    "site_id": ("Site/Id",),
    "site_name": ("Site/Name",),
    "sippeer_id": ("SipPeer/PeerId",),
    "sippeer_name": ("SipPeer/PeerName",),
    "country": ("Country",),
    "city": ("City",),
    "lata": ("Lata",),
    "state": ("State",),
    "rate_center": ("RateCenter",),
    "tier": ("Tier",),
    "vendor_id": ("VendorId",),
    "vendor_name": ("VendorName",),
    "service_types": ("ServiceTypes/*",),
    "sms_enabled": ("MessagingSettings/SmsEnabled",),
    "lidb_status": ("Features/Lidb/Status",),
    "dlda_status": ("Features/Dlda/Status",),
    "e911_status": ("Features/E911/Status", "Features/E911/LastE911OrderOutcome"),
    "attributes": ("TnAttributes/*",),
    "last_modified": ("LastModified",),
    "in_service_date": ("InServiceDate",),
}

_MOST = {"full": 25, "summary": 2_500}


def check(_setting: str, cell: str, _settings: Settings) -> str:
    """The only setting is an option, already one of its words."""
    return cell


def pages(chunk: Chunk, api: str) -> Sequence[Request]:
    """One GET a TN, or one POST with all of them."""
    if chunk.envelope["detail"] == "full":
        return [Request("GET", f"/tns/{numbers.to_wire(tn, api)}/tndetails") for tn in chunk.tns.tolist()]
    root = etree.Element("TnList")
    body = xml.document(root, [xml.tn_rows(chunk.tns, api, element="Tn")], place="TnList")
    return [Request("POST", "/tns", body=body, max_bytes=MAX_LIST_BYTES)]


def read(answer: Answer) -> Reading:
    """What an answer brought: a product per TN it describes, an error per TN it refuses.

    A 4xx is an answer too (12512: not a valid TN); where it names no TN, the issue's is 0. Raises
    ProtocolError for anything that cannot be read.
    """
    if 400 <= answer.status < 500:
        return Reading(settled=True, issues=_refused(answer))
    root = xml.parse(answer.body, "TelephoneNumberResponse", "TelephoneNumbersResponse")
    found = [*root.iterfind("TelephoneNumberDetails"), *root.iterfind("TelephoneNumbers/TelephoneNumber")]
    issues = xml.errors_in(root)
    if not found and not issues:
        raise ProtocolError("the answer describes no TN and reports no error")
    return Reading(settled=True, issues=issues, products=[_product(details) for details in found])


def _refused(answer: Answer) -> list[Issue]:
    if not answer.body.strip():
        # The carrier answers some 403 and 404 with an empty body.
        return [Issue("error", 0, str(answer.status), responses.get(answer.status, "refused"))]
    issues = xml.refusal(answer)
    if not issues:
        raise ProtocolError(f"the answer to HTTP {answer.status} is not one of the carrier's")
    return issues


def _product(details: etree._Element) -> Product:
    tn = numbers.from_wire(xml.text_of(details, "FullNumber"))
    return Product(tn, tuple(_value(details, paths) for paths in _PATHS.values()))


def _value(details: etree._Element, paths: tuple[str, ...]) -> str:
    for path in paths:
        values = [(found.text or "").strip() for found in details.iterfind(path)]
        if any(values):
            return ";".join(values)
    return ""


def _max_rows(settings: Any) -> int:
    return _MOST[settings.detail]


OPERATION = Operation(
    name="tn-details",
    summary="what the carrier knows about TNs: status, account, location, features",
    settings=Settings,
    talk=Read(pages=pages, read=read, columns=tuple(_PATHS)),
    max_rows=_max_rows,
    path=dict.fromkeys(("v1", "v2"), "/tns"),
    check=check,
    envelope=("detail",),
    options=("detail",),
)
