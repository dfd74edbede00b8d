"""`import-tn-checker`: the question and its answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from lxml import etree

from batcher.carrier import xml
from batcher.errors import ProtocolError
from batcher.model import Answer, Check, Chunk, Issue
from batcher.operations import get, import_tn_checker

GOLDEN = Path(__file__).parent.parent / "carrier_xml"
OPERATION = get("import-tn-checker")
assert isinstance(OPERATION.talk, Check)
CHECK = OPERATION.talk


def chunk(envelope: dict[str, str]) -> Chunk:
    tns = np.array([13032281000, 14109235436, 14104685864], np.int64)
    return Chunk(1, 1, "b-a-1", np.arange(1, 4), tns, envelope, ({},), np.zeros(3, np.int64))


def shape(body: bytes) -> bytes:
    """The document without white space between its elements."""
    root = xml.parse(body)
    for element in root.iter():
        element.tail = None
        if len(element):
            element.text = None
    return etree.tostring(root)


@pytest.mark.parametrize("api", ["v1", "v2"])
def test_the_carriers_example_can_be_said(api: str):
    """The request is the published one in both versions' forms."""
    request = CHECK.post(chunk({"site_id": "486", "sippeer_id": "500025"}), api)

    assert (request.method, request.path) == ("POST", "importTnChecker")
    assert request.body is not None
    golden = (GOLDEN / f"openapi_{api}__CreateRequestImportTnChecker_req_example.xml").read_bytes()
    assert shape(request.body) == shape(golden)


def test_without_a_location_the_sites_default_is_meant():
    """A location that is not set is not sent, not even as an empty element."""
    body = CHECK.post(chunk({"site_id": "486"}), "v1").body

    assert body is not None
    assert [child.tag for child in xml.parse(body)] == ["TelephoneNumbers", "SiteId"]


@pytest.mark.parametrize(
    "name",
    [
        "openapi_v1__CreateRequestImportTnChecker_resp200_example",
        "openapi_v2__CreateRequestImportTnChecker_resp200_example",
        "docs__002_1",
    ],
)
def test_the_answer_is_the_result(name: str):
    """One answer settles the chunk; TNs that cannot be imported carry the reason."""
    reading = CHECK.read(Answer(200, (GOLDEN / f"{name}.xml").read_bytes()))

    assert (reading.status, reading.settled) == ("COMPLETE", True)
    text = "Bandwidth numbers cannot be imported by this account at this time."
    assert reading.issues == [Issue("error", tn, "19006", text) for tn in (14109235436, 14104685864)]


@pytest.mark.parametrize(
    "body",
    [b"", b"<html/>", (GOLDEN / "openapi_v2__CreateRequestImportTnChecker_resp400_example.xml").read_bytes()],
    ids=["empty", "HTML", "refusal"],
)
def test_an_answer_without_a_result(body: bytes):
    """Nothing can be imported because an answer said nothing."""
    with pytest.raises(ProtocolError):
        CHECK.read(Answer(200, body))


@pytest.mark.parametrize(("cell", "value"), [("486", "486"), (" 500025 ", "500025"), ("a-1", "a-1")])
def test_ids_that_pass(cell: str, value: str):
    """An id is sent as it stands, without blanks around it."""
    assert OPERATION.check("site_id", cell, import_tn_checker.Settings()) == value


@pytest.mark.parametrize("cell", ["a b", "../9", "486/", "\u0664\u0668\u0666", "x" * 65, "486.0"])
def test_ids_that_are_refused(cell: str):
    """What cannot be an id is told before anything is sent."""
    with pytest.raises(ValueError, match="is not an id"):
        OPERATION.check("sippeer_id", cell, import_tn_checker.Settings())


def test_what_the_operation_declares():
    """Site and location hold for a whole request, and a site is needed."""
    assert OPERATION.envelope == ("site_id", "sippeer_id")
    assert OPERATION.required == ("site_id",)
    assert OPERATION.max_rows(import_tn_checker.Settings(site_id=486)) == 5_000
