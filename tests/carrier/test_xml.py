"""Reading hostile and honest documents, and writing rows of TNs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from lxml import etree

from batcher.carrier import xml
from batcher.errors import ProtocolError
from batcher.model import Answer, Issue

GOLDEN = Path(__file__).parent.parent / "carrier_xml"
GONE = Issue("error", 0, "", "The resource does not exist")
INVALID = "Telephone number is invalid."
DRAFT = "TN list contains at least one toll free number that cannot be ported due to {} status."


def golden(name: str) -> etree._Element:
    return xml.parse((GOLDEN / f"{name}.xml").read_bytes())


def error(code: str, text: str, *tns: int) -> list[Issue]:
    return [Issue("error", tn, code, text) for tn in tns or (0,)]


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.xml")), ids=lambda path: path.stem)
def test_every_example_of_the_carrier_is_readable(path: Path):
    """No hardening stands in the way of a document that the carrier published."""
    xml.parse(path.read_bytes())


BILLION_LAUGHS = (
    b'<!DOCTYPE a [<!ENTITY l0 "lol">'
    + b"".join(b'<!ENTITY l%d "%s">' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 10))
    + b"]><a>&l9;</a>"
)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"Service unavailable", id="not XML"),
        pytest.param(b"<html><br></html>", id="HTML"),
        pytest.param(b"<a><b>2018551020</b>", id="cut"),
        pytest.param(b"<a>201855", id="cut inside a TN"),
        pytest.param(b"<!DOCTYPE a><a/>", id="doctype"),
        pytest.param(b'<!DOCTYPE a [<!ENTITY s "COMPLETE">]><a>&s;</a>', id="internal entity"),
        pytest.param(b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', id="external subset"),
        pytest.param(b'<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/passwd">]><a>&f;</a>', id="external entity"),
        pytest.param(BILLION_LAUGHS, id="billion laughs"),
        pytest.param(b"<a>" * 300 + b"</a>" * 300, id="300 deep"),
        pytest.param(b"<a>" + b"x" * 20_000_000 + b"</a>", id="20 MB of text"),
        pytest.param(b"<a>\xff</a>", id="not UTF-8"),
    ],
)
def test_a_document_that_cannot_be_trusted_is_refused(body: bytes):
    """Whatever is cut, nested without end or brings entities is an error, never half an answer."""
    with pytest.raises(ProtocolError):
        xml.parse(body)


def test_a_refusal_never_quotes_the_document():
    """An answer may hold a passcode: neither the message nor its cause repeats what stood there."""
    with pytest.raises(ProtocolError) as caught:
        xml.parse(b"<PortOutPasscode>s3cr3t</s3cr3t>")

    assert "s3cr3t" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_another_root_than_expected_is_refused():
    """A captive portal's page does not pass for an answer."""
    with pytest.raises(ProtocolError, match="expected <TnOptionOrder> or <B>, the document's root is 'html'"):
        xml.parse(b"<html/>", "TnOptionOrder", "B")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"201855<!-- -->1020", id="comment"),
        pytest.param(b"201855<?x y?>1020", id="processing instruction"),
        pytest.param(b"201<![CDATA[855]]>1020", id="CDATA"),
        pytest.param(b"20185510&#50;0", id="character reference"),
    ],
)
def test_a_tn_is_read_to_its_end(text: bytes):
    """What interrupts the text of an element never shortens a TN."""
    body = b"<a><ErrorList><Error><Code>1</Code><Description>d</Description><TelephoneNumber>%s</TelephoneNumber>"

    root = xml.parse(body % text + b"</Error></ErrorList></a>")

    assert xml.errors_in(root) == error("1", "d", 12018551020)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("openapi_v1__CreateTnOptionOrder_resp400_example", error("5081", "Number Format 'wrong' is invalid.")),
        ("openapi_v2__GetTnOptionOrder_resp404_example", [GONE]),
        ("openapi_v2__RetrieveOrderHistory_resp404_example", [GONE]),
        (
            "openapi_v1__CreateImportTnOrder_resp400_example",
            error("7309", "The site id was not supplied or is invalid.") + error("7312", "The sippeer id is invalid."),
        ),
        (
            "openapi_v2__UpdatePortin_resp400_example",
            error("7331", "Rate Center Not Present in Bandwidth Dashboard", 17138391156)
            + error(
                "7495",
                "Unable to change the TNs on this port. Please ensure that the new TNs are from the same losing "
                "carrier as the current TNs.",
                12024551000,
                12018391156,
                12018391157,
            ),
        ),
        ("openapi_v2__ReadMoveTnsOrder_resp200_example", error("7518", "Telephone Number Not Active.", 12262665583)),
        ("openapi_v2__CreateImportMessagingTnOrder_resp201_example", []),
        (
            "openapi_v1__GetTnOptionOrders_resp200_example",
            error("5076", "Telephone number is not available.", 12018551025, 12018551020),
        ),
        (
            "docs__001_6",
            error(
                "11020",
                "Cannot add LIDB to a telephone number that already has LIDB or is in process",
                18888595935,
            ),
        ),
        ("openapi_v2__CreateTnOptionOrder_resp201_example", []),
        (
            "openapi_v2__CreateDldaOrder_resp400_example",
            error("16104", "No numbers for processing") + error("5070", INVALID),
        ),
        (
            "openapi_v2__ReadE911Order_resp200_example",
            error("8003", "Telephone numbers does not belong to this account.", 13172000000)
            + error("8009", "Telephone numbers not in 'Inservice'", 13172000000),
        ),
        (
            "guides__bulkPortIns_1_0",
            error("7642", DRAFT.format("spare"), 18005587721) + error("7643", DRAFT.format("unavailable"), 18335098835),
        ),
        (
            "openapi_v2__CreateLidbOrder_resp400_example",
            error("11007", "No visibility supplied. Visibility must be one of the following - PUBLIC, PRIVATE"),
        ),
        ("openapi_v2__CreatePortin_resp201_On-net_NANP_Port-in_Order_Response", []),
        (
            "openapi_v1__GetAvailableTns_resp400_example",
            error(
                "4010",
                "One of more required search parameters are null or empty, please refer to the api documentation",
            ),
        ),
        (
            "openapi_v2__CreateRequestImportTnChecker_resp200_example",
            error(
                "19006",
                "Bandwidth numbers cannot be imported by this account at this time.",
                14109235436,
                14104685864,
            ),
        ),
        (
            "openapi_v1__Retrievetnportoutpasscodes_resp200_example",
            error("15619", "Passcode was not found on tn(s)", 13172000000)
            + error("15610", "Telephone Numbers cannot be found on accounts", 13172110285, 13172100285),
        ),
        ("openapi_v1__CreateImportTnOrderLoas_resp201_example", []),
        (
            "docs__004_5",
            error("400", "Messaging service needs to be enabled/disabled via a TN Option order"),
        ),
        ("openapi_v2__RetrieveTnDetails_resp200_Shared_TN_details", []),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_carriers_error_envelopes(name: str, expected: list[Issue]):
    """Each shape in which the carrier reports errors gives one issue per error and TN, and nothing gives too many."""
    assert xml.errors_in(golden(name)) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(
            b"<R><Status><Code>400</Code><Description>Validation Failed.</Description></Status></R>",
            error("400", "Validation Failed."),
            id="status alone",
        ),
        pytest.param(
            b"<fileUploadResponse><resultCode>7</resultCode><resultMessage>Too large</resultMessage></fileUploadResponse>",
            error("7", "Too large"),
            id="failed upload",
        ),
        pytest.param(
            b"<R><ErrorList><Error><Description>No code</Description><TelephoneNumber>+12018551020</TelephoneNumber>"
            b"</Error></ErrorList></R>",
            error("", "No code", 12018551020),
            id="no code",
        ),
        pytest.param(
            b"<R><ErrorList><Error><Code>5070</Code><Description>Invalid.</Description>"
            b"<TelephoneNumber>0018551020</TelephoneNumber></Error></ErrorList></R>",
            error("5070", "Invalid. (0018551020)"),
            id="unreadable TN",
        ),
        pytest.param(
            b"<R><ErrorList><Error><Code>1</Code><Description>a</Description><TelephoneNumber>2018551020</TelephoneNumber>"
            b"<TelephoneNumbers><TelephoneNumber>2018551021</TelephoneNumber></TelephoneNumbers></Error></ErrorList></R>",
            error("1", "a", 12018551020, 12018551021),
            id="one TN and a list",
        ),
        pytest.param(
            b"<R><ErrorList>"
            b"<Error><Code>1</Code><Description>a</Description><TelephoneNumber>2018551020</TelephoneNumber></Error>"
            b"<Error><Code>2</Code><Code>3</Code><Description>b</Description></Error>"
            b"</ErrorList></R>",
            error("1", "a", 12018551020) + error("3", "b"),
            id="columns that would shift",
        ),
        pytest.param(
            b"<R><ErrorList><Error> <TelephoneNumber> 2018551020 </TelephoneNumber><Code>\n5076 </Code>"
            b"<Description> a &amp; b </Description></Error></ErrorList></R>",
            error("5076", "a & b", 12018551020),
            id="white space and order",
        ),
    ],
)
def test_shapes_that_no_example_shows(body: bytes, expected: list[Issue]):
    """What the documents describe without an example, and what would trip a reader of columns."""
    assert xml.errors_in(xml.parse(body)) == expected


def test_many_errors_are_read_like_few():
    """An order of 5,000 errors gives 5,000 issues in its order, each with its own code."""
    rows = "".join(
        f"<Error><Code>{5000 + n}</Code><Description>No. {n}</Description>"
        f"<TelephoneNumber>+1201{5550000 + n}</TelephoneNumber></Error>"
        for n in range(5_000)
    )

    issues = xml.errors_in(xml.parse(f"<R><ErrorList>{rows}</ErrorList></R>".encode()))

    assert issues[:1] + issues[-1:] == error("5000", "No. 0", 12015550000) + error("9999", "No. 4999", 12015554999)
    assert len(set(issues)) == 5_000


@pytest.mark.parametrize(
    "name",
    [
        "openapi_v1__GetTnOptionOrder_resp200_example",
        "docs__001_4",
        "openapi_v2__UpdateSipPeerTnSettings_resp200_example",
    ],
)
def test_warnings_are_no_errors(name: str):
    """A remark on what was applied is a warning of its TN, without a code, and not an error."""
    root = golden(name)

    text = "SMS is already Enabled or number is in processing."
    assert xml.warnings_in(root) == [Issue("warning", 12174101601, "", text)]
    assert xml.errors_in(root) == []


def test_a_refusal_names_the_tn_that_only_its_text_names():
    """7201 says which number it means in its description alone."""
    body = (GOLDEN / "openapi_v1__CreateRequestImportTnChecker_resp400_example.xml").read_bytes()

    assert xml.refusal(Answer(400, body)) == [
        Issue("error", 61746052083, "7201", "61746052083 is not a valid NANPA telephone number."),
        Issue("error", 61746052082, "7201", "61746052082 is not a valid NANPA telephone number."),
    ]


@pytest.mark.parametrize(
    ("text", "tns"),
    [
        ("Telephone number '2018551020' is not valid", [12018551020]),
        ("+12018551020, +12018551021 are not valid.", [12018551020, 12018551021]),
        ("Call Forwarding number '6042661720' is not a valid 10-digit telephone number.", [0]),
        ("Tn endpoints must be valid NANP 10 digit telephone number : 6105552502", [0]),
        ("Order ddbdc72e-dc27-490c-904e-d0c11291b095 of 123456789 is no TN", [0]),
        ("sip:+12345678901@1.2.3.4:5060 is not valid", [0]),
    ],
    ids=["quoted", "two", "forwarding", "endpoint", "ids", "URI"],
)
def test_only_the_tn_of_a_row_is_taken_from_a_text(text: str, tns: list[int]):
    """A number that a row points at, an order id or an address is not taken for the row's TN."""
    body = f"<R><ResponseStatus><ErrorCode>1</ErrorCode><Description>{text}</Description></ResponseStatus></R>"

    assert [issue.tn for issue in xml.refusal(Answer(400, body.encode()))] == tns


@pytest.mark.parametrize("body", [b"", b"<html><p>no</p></html>", b"<R><ResponseStatus><ErrorCode>1"])
def test_a_refusal_that_is_not_the_carriers_says_nothing(body: bytes):
    """An empty, foreign or cut answer is no refusal: the caller must not believe that nothing was done."""
    assert xml.refusal(Answer(400, body)) == []


@pytest.mark.parametrize(
    ("api", "first", "last"), [("v1", "2005550100", "9995550199"), ("v2", "+12005550100", "+19995550199")]
)
@pytest.mark.parametrize("count", [2, 5_000], ids=["few", "many"])
def test_rows_are_the_tns_in_wire_form(api: str, first: str, last: str, count: int):
    """Rows stand in the order of the TNs with exactly their digits, whichever way they are written."""
    tns = np.linspace(12005550100, 19995550199, count, dtype=np.int64)

    rows = xml.parse(b"<a>" + xml.tn_rows(tns, api) + b"</a>")

    assert (rows[0].text, rows[-1].text) == (first, last)
    assert {row.tag for row in rows} == {"TelephoneNumber"}
    assert [int(str(row.text)[-10:]) for row in rows] == (tns - 10_000_000_000).tolist()


def test_rows_of_other_countries_are_written_on_v2_alone():
    """A TN without a ten-digit form is written as E.164, or refused: never cut."""
    tns = np.array([12018551020, 441224003018], np.int64)

    assert xml.tn_rows(tns, "v2", "Tn") == b"<Tn>+12018551020</Tn><Tn>+441224003018</Tn>"
    with pytest.raises(ValueError, match="441224003018"):
        xml.tn_rows(tns, "v1")
    with pytest.raises(ValueError, match="441224003018"):
        xml.tn_rows(np.repeat(tns, 50), "v1")


@pytest.mark.parametrize("last", [19995550199, 441224003018], ids=["all of one length", "not all of one length"])
def test_lots_are_the_rows_of_each_part(last: int):
    """Each lot holds the rows between its ends, an empty one nothing, whether they are written at one go or not."""
    tns = np.array([*range(12005550100, 12005550139), last], np.int64)

    lots = [*xml.tn_lots(tns, [1, 1, 39, 40], "v2")]

    assert lots[0] == b"<TelephoneNumber>+12005550100</TelephoneNumber>"
    assert lots[1] == b""
    assert lots[2].startswith(b"<TelephoneNumber>+12005550101</TelephoneNumber><TelephoneNumber>+12005550102<")
    assert lots[2].endswith(b"<TelephoneNumber>+12005550138</TelephoneNumber>")
    assert lots[3] == f"<TelephoneNumber>+{last}</TelephoneNumber>".encode()


@pytest.mark.parametrize("text", ["+1200555010x", "+1200555 0100", "\u0661", "+1200555.0"], ids=repr)
def test_what_is_no_number_is_not_read_back(text: str):
    """Only whole numbers are read, one from each element."""
    root = xml.parse(
        f"<a><TelephoneNumber>+12005550100</TelephoneNumber><TelephoneNumber>{text}</TelephoneNumber></a>".encode()
    )

    with pytest.raises(ValueError, match=r"number|read"):
        xml.tns_in(root, "v2")


def test_no_rows_are_no_bytes():
    """An empty array is written as nothing."""
    assert xml.tn_rows(np.array([], np.int64), "v2") == b""


def test_a_document_takes_its_rows_in_order():
    """Text is escaped, so that it can neither end an element nor take the place of rows."""
    root = etree.Element("Order")
    for text in ("<TelephoneNumbers/>", "a & b"):
        xml.add(root, "Name", text)
        xml.add(root, "TelephoneNumbers")

    body = xml.document(root, [b"<T>1</T>", b"<T>2</T>"])

    assert body.startswith(b"<?xml version='1.0' encoding='UTF-8'?>\n<Order>")
    read = xml.parse(body, "Order")
    assert [(child.tag, child.text, [row.text for row in child]) for child in read] == [
        ("Name", "<TelephoneNumbers/>", []),
        ("TelephoneNumbers", None, ["1"]),
        ("Name", "a & b", []),
        ("TelephoneNumbers", None, ["2"]),
    ]
    with pytest.raises(ValueError, match="2 empty <TelephoneNumbers> for 1 lots of rows"):
        xml.document(root, [b""])


@pytest.mark.parametrize("text", ["a\x00b", "a\x0bb", "\ud800"], ids=["NUL", "control", "surrogate"])
def test_what_xml_cannot_hold_is_refused(text: str):
    """A character that XML forbids is an error while building, not at the carrier's."""
    with pytest.raises(ValueError, match=r"XML|surrogates"):
        xml.add(etree.Element("Order"), "Name", text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("ddbdc72e-dc27-490c-904e-d0c11291b095", True), ("500025", True), ("", False), (None, False), ("a" * 65, False)]
    + [(text, False) for text in ("..", "a/b", "a b", "a\n", "\u0661\u0662", "a%2f", "a_b")],
)
def test_what_may_enter_a_path(text: str | None, *, expected: bool):
    """Only letters, digits and dashes may become part of a path."""
    assert xml.is_id(text) is expected
