"""`tn-details`: what is asked and what comes back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from batcher.carrier import xml
from batcher.errors import ProtocolError
from batcher.model import Answer, Chunk, Issue, Read, Request
from batcher.operations import get, tn_details

GOLDEN = Path(__file__).parent.parent / "carrier_xml"
OPERATION = get("tn-details")
assert isinstance(OPERATION.talk, Read)
READ = OPERATION.talk


def golden(name: str) -> bytes:
    return (GOLDEN / f"{name}.xml").read_bytes()


def chunk(detail: str, tns: list[int]) -> Chunk:
    count = len(tns)
    return Chunk(1, 1, "b-a-1", np.arange(count), np.array(tns), {"detail": detail}, ({},), np.zeros(count, np.int64))


@pytest.mark.parametrize(
    ("api", "paths"),
    [
        ("v1", ["/tns/2018981023/tndetails", "/tns/9195550123/tndetails"]),
        ("v2", ["/tns/+12018981023/tndetails", "/tns/+19195550123/tndetails"]),
    ],
)
def test_full_asks_for_each_tn(api: str, paths: list[str]):
    """One request a TN, below the API's base and not the account, the TN in the version's form."""
    assert READ.pages(chunk("full", [12018981023, 19195550123]), api) == [Request("GET", path) for path in paths]


@pytest.mark.parametrize(
    ("api", "tns"), [("v1", ["2018981023", "9195550123"]), ("v2", ["+12018981023", "+19195550123"])]
)
def test_summary_asks_for_all_at_once(api: str, tns: list[str]):
    """One request with the list of TNs."""
    [request] = READ.pages(chunk("summary", [12018981023, 19195550123]), api)

    assert (request.method, request.path) == ("POST", "/tns")
    assert request.body is not None
    assert [(row.tag, row.text) for row in xml.parse(request.body, "TnList")] == [("Tn", tn) for tn in tns]


def test_how_many_tns_make_a_chunk():
    """The carrier takes 2,500 in a list; single requests travel 25 to a chunk."""
    assert OPERATION.max_rows(tn_details.Settings()) == 25
    assert OPERATION.max_rows(tn_details.Settings(detail="summary")) == 2_500
    with pytest.raises(ValidationError):
        tn_details.Settings.model_validate({"detail": "some"})
    assert "detail" in OPERATION.options
    assert "detail" in OPERATION.envelope


FULL = {
    "status": "Inservice",
    "account_id": "14",
    "site_id": "479",
    "site_name": "site_9b08f",
    "sippeer_id": "500014",
    "sippeer_name": "a2750fad-3",
    "city": "JERSEY CITY",
    "lata": "224",
    "state": "NJ",
    "rate_center": "JERSEYCITY",
    "tier": "0",
    "vendor_id": "49",
    "vendor_name": "Bandwidth CLEC",
    "service_types": "Voice;Messaging",
    "lidb_status": "Pending",
    "dlda_status": "Success",
    "e911_status": "SUCCESS",
    "sms_enabled": "true",
    "attributes": "Protected;External",
    "last_modified": "2014-07-30T11:29:37.000Z",
    "in_service_date": "2014-07-30T11:29:37.000Z",
}


@pytest.mark.parametrize(
    ("name", "tn", "expected"),
    [
        ("openapi_v2__RetrieveTnDetails_resp200_Simple_response", 12018981023, FULL),
        (
            "openapi_v2__RetrieveTnDetails_resp200_Shared_TN_details",
            12018981023,
            # What the companion's account holds of a shared TN is not this account's.
            {name: value for name, value in FULL.items() if name != "sms_enabled"}
            | {"service_types": "Voice", "attributes": "Hosted"},
        ),
        (
            "openapi_v1__RetrieveTnDetails_resp200_Non-NANP_details",
            33140289562,
            {
                "status": "Inservice",
                "account_id": "12345678",
                "site_id": "123",
                "site_name": "site",
                "sippeer_id": "500001",
                "sippeer_name": "sippeer",
                "country": "FR",
                "vendor_id": "49",
                "vendor_name": "Bandwidth CLEC",
                "service_types": "Voice",
                "last_modified": "2020-03-03T15:30:07.000Z",
                "in_service_date": "2020-03-03T15:30:07.518Z",
            },
        ),
    ],
)
def test_the_details_of_a_tn(name: str, tn: int, expected: dict[str, str]):
    """Each column holds what the published answer says, and is empty where it says nothing."""
    reading = READ.read(Answer(200, golden(name)))

    [product] = reading.products
    assert product.tn == tn
    assert {name: value for name, value in zip(READ.columns, product.values, strict=True) if value} == expected
    assert reading.issues == []


@pytest.mark.parametrize(
    ("api", "invalid"), [("v1", (111111111111, 99999999999)), ("v2", (111111111111, 199999999999))]
)
def test_a_summary_of_many_tns(api: str, invalid: tuple[int, int]):
    """A list gives a product per TN that it describes and an error per TN that it refuses."""
    reading = READ.read(Answer(200, golden(f"openapi_{api}__ListTnsByPost_resp200_example")))

    found = [13172000000, 13172000500, 13172000100, 13172000207, 13172000285]
    assert [product.tn for product in reading.products] == found
    status, city = READ.columns.index("status"), READ.columns.index("city")
    assert [product.values[status] for product in reading.products] == ["Available", "Aging"] + ["Available"] * 3
    assert {product.values[city] for product in reading.products} == {"INDIANAPOLIS"}
    refused, unknown = "Input contains invalid Telephone Numbers", "Telephone Numbers cannot be found on accounts"
    assert reading.issues == [
        *(Issue("error", tn, "15608", refused) for tn in invalid),
        *(Issue("error", tn, "15610", unknown) for tn in (13172110285, 13172100285)),
    ]


@pytest.mark.parametrize(
    ("answer", "issue"),
    [
        pytest.param(
            Answer(400, golden("openapi_v2__RetrieveTnDetails_resp400_example")),
            Issue("error", 0, "12512", "Telephone number '123456789' is not valid"),
            id="not valid",
        ),
        pytest.param(
            Answer(400, golden("openapi_v2__RetrieveTnDetails_resp400_example").replace(b"123456789", b"2018981023")),
            Issue("error", 12018981023, "12512", "Telephone number '2018981023' is not valid"),
            id="names the TN",
        ),
        pytest.param(Answer(404, b""), Issue("error", 0, "404", "Not Found"), id="404 empty"),
        pytest.param(Answer(499, b" "), Issue("error", 0, "499", "refused"), id="499 empty"),
        pytest.param(
            Answer(400, golden("openapi_v2__ListTnsByGet_resp400_example")),
            Issue("error", 0, "15511", "The NPA_NXX '9192384' is invalid"),
            id="list",
        ),
    ],
)
def test_a_refusal_is_an_answer(answer: Answer, issue: Issue):
    """A TN that the carrier does not know is an error of that TN, not a failure of the run."""
    reading = READ.read(answer)

    assert (reading.settled, reading.issues, list(reading.products)) == (True, [issue], [])


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b""),
        Answer(200, b"<TelephoneNumberResponse/>"),
        Answer(200, b"<html/>"),
        Answer(404, b"<html>Not found</html>"),
    ],
    ids=["empty", "no details", "HTML", "404 of a proxy"],
)
def test_an_answer_that_says_nothing(answer: Answer):
    """What is not the carrier's answer does not become a fact about a TN."""
    with pytest.raises(ProtocolError):
        READ.read(answer)
