"""Reading and building of the carrier's XML: the one place where bytes from outside become a tree.

It knows how to parse without being tricked, the shapes in which the carrier reports errors, and how rows
of TNs are written fast. What an answer means is left to the operation that asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from lxml import etree
from numpy.typing import NDArray

from batcher import tn as numbers
from batcher.errors import ProtocolError
from batcher.model import Answer, Issue

# `collect_ids` and `attribute_defaults` stay out: each makes libxml2 read local files named by a document.
_PARSER = etree.XMLParser(
    resolve_entities=False,
    no_network=True,
    load_dtd=False,
    dtd_validation=False,
    huge_tree=False,
    recover=False,
    remove_comments=True,
    remove_pis=True,
)

#: What may stand in a path, a query, a log line or a file name as the id of something.
_ID = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)

#: Elements that hold one error each, wherever they stand, in all envelopes the carrier uses.
_ERRORS = ("ResponseStatus", "Errors", "Error", "ImportTnError")
_TN_LISTS = ("TelephoneNumbers", "TnList")

# Without `smart_strings`, XPath brings 5,000 texts in a tenth of the time of a loop over the elements.
_TNS = etree.XPath("descendant::TelephoneNumber/text()", smart_strings=False)
_COLUMNS = [
    etree.XPath(f"Error/{name}[1]/text()[1]", smart_strings=False)
    for name in ("Code", "Description", "TelephoneNumber")
]
_CELLS = etree.XPath("count(Error/*)")

_TN_IN_TEXT = re.compile(r"(?<![\w.@:+-])\+?[0-9]{10,15}(?![\w@:-])", re.ASCII)
# 5080 and 5188, among others, quote the number that a row points at, not the row's own.
_ANOTHER_TN = re.compile(r"forward|endpoint|route|destination", re.IGNORECASE)

#: Below this many rows the set-up of the template costs more than it saves.
_FEW = 32
# All numbers of two and of four ASCII digits, each as one machine word, to be copied into place at once.
_TWO = np.frombuffer(b"".join(b"%02d" % n for n in range(100)), np.uint16)
_FOUR = np.frombuffer(b"".join(b"%04d" % n for n in range(10_000)), np.uint32)


def parse(body: bytes, *roots: str) -> etree._Element:
    """The tree of a document whose root is one of `roots`; of any document when none is given.

    Raises ProtocolError when it is not well-formed, has a doctype or another root. The message never quotes
    the document: an answer may hold a passcode.
    """
    try:
        root = etree.fromstring(body, _PARSER)
    except etree.XMLSyntaxError as error:
        line, column = error.position
        # `from None`: libxml2's own message may quote the document.
        raise ProtocolError(f"the document is not well-formed XML (line {line}, column {column})") from None
    if root.getroottree().docinfo.doctype:
        raise ProtocolError("the document has a doctype, which the carrier never sends")
    name = etree.QName(root).localname
    if roots and name not in roots:
        raise ProtocolError(f"expected <{'> or <'.join(roots)}>, the document's root is {name[:40]!a}")
    return root


def document(root: etree._Element, rows: Sequence[bytes] = (), place: str = "TelephoneNumbers") -> bytes:
    """The document as bytes in UTF-8, each empty `place` element filled with the `rows` of its turn.

    Text went in through lxml and is escaped, so the only empty `place` tags are those left open for rows.
    """
    pieces = etree.tostring(root, encoding="UTF-8", xml_declaration=True).split(f"<{place}/>".encode())
    if len(pieces) != len(rows) + 1:
        raise ValueError(f"{len(pieces) - 1} empty <{place}> for {len(rows)} lots of rows")
    opened, closed = f"<{place}>".encode(), f"</{place}>".encode()
    filled = [part for piece, row in zip(pieces, rows, strict=False) for part in (piece, opened, row, closed)]
    return b"".join([*filled, pieces[-1]])


def add(parent: etree._Element, name: str, text: str | None = None) -> etree._Element:
    """A new last child of `parent`; lxml escapes the text and refuses what XML cannot hold."""
    child = etree.SubElement(parent, name)
    child.text = text
    return child


def tn_rows(tns: NDArray[np.int64], api: str, element: str = "TelephoneNumber") -> bytes:
    """`<element>…</element>` for each TN in the wire form of `api` ("v1": ten digits, "v2": E.164).

    Many North American TNs go through a byte template, 0.04 ms for 5,000; others one by one. Raises ValueError
    for a TN that has no form in v1.
    """
    if tns.size < _FEW or not _is_north_american(tns):
        return "".join(f"<{element}>{numbers.to_wire(tn, api)}</{element}>" for tn in tns.tolist()).encode()
    rows = _template(f"<{element}>{'+1' if api == 'v2' else ''}".encode(), f"</{element}>".encode(), tns.size)
    local = tns - 10_000_000_000
    npa_n = local // 1_000_000
    rest = (local - npa_n * 1_000_000).astype(np.uint32)
    xx_xx = rest // 100
    rows["npa_n"], rows["xx_xx"], rows["xx"] = _FOUR[npa_n], _FOUR[xx_xx], _TWO[rest - xx_xx * 100]
    return rows.tobytes()


def tn_lots(tns: NDArray[np.int64], ends: Sequence[int], api: str) -> Iterator[bytes]:
    """`tn_rows` of each part of `tns`: the first ends before `ends[0]`, the next one begins there, and so on.

    Where all rows are of one length, they are written at one go: a hundred short lots cost no more than a long one.
    """
    starts = [0, *ends[:-1]]
    if not _is_north_american(tns):
        yield from (tn_rows(tns[start:end], api) for start, end in zip(starts, ends, strict=True))
        return
    rows = tn_rows(tns, api)
    width = len(rows) // tns.size
    yield from (rows[start * width : end * width] for start, end in zip(starts, ends, strict=True))


def _is_north_american(tns: NDArray[np.int64]) -> bool:
    return tns.size > 0 and bool(tns.min() >= numbers.NORTH_AMERICA[0] and tns.max() <= numbers.NORTH_AMERICA[-1])


def _template(before: bytes, after: bytes, count: int) -> NDArray[np.void]:
    """Rows of bytes with ten digits to be filled in as three fields: NPA and N, then XX-XX, then XX."""
    row, place = before + b"0123456789" + after, len(before)
    digits = np.dtype(
        {
            "names": ["npa_n", "xx_xx", "xx"],
            "formats": ["u4", "u4", "u2"],
            "offsets": [place, place + 4, place + 8],
            "itemsize": len(row),
        }
    )
    return np.frombuffer(bytearray(row * count), digits)


def tns_in(root: etree._Element, api: str) -> NDArray[np.int64]:
    """All the TNs of an order that we wrote, as E.164 digits: the way back from `tn_rows`.

    It shares no code with the way there, so that building can be checked by reading. Raises ValueError for
    text that is not a number.
    """
    texts = _texts(_TNS, root)
    # One text after the other, `int` takes four times as long.
    found = np.fromstring("\n".join(texts), np.int64, sep="\n")
    if found.size != len(texts):
        raise ValueError(f"{len(texts)} telephone numbers read as {found.size}")
    # On v1 everything is a bare ten-digit number; on v2 the `+` is read as a sign.
    return found + 10_000_000_000 if api == "v1" else found


def is_id(text: str | None) -> bool:
    """Whether this can be an id of the carrier's: letters, digits and dashes, at most 64."""
    return text is not None and _ID.fullmatch(text) is not None


def text_of(element: etree._Element, path: str) -> str:
    """The text at `path` below `element` without white space around it; "" where there is none."""
    return (element.findtext(path) or "").strip()


def errors_in(root: etree._Element) -> list[Issue]:
    """Every error a document reports, in any of the carrier's envelopes: one issue per error and TN.

    The TN is 0 where an error names none, also not in its text ("61746052083 is not a valid NANPA telephone
    number", code 7201), the code "" where it has none. A TN that cannot be read is quoted in the text. `<Status>` (lidbs, port-ins) counts where nothing more exact is said, and from 400 on:
    port-ins carry a `<Status>` of 201.
    """
    found = list(root.iter(*_ERRORS))
    issues = _by_column(root, len(found)) or [issue for element in found for issue in _issues(element, "error")]
    for element in root.iter("resultCode"):
        issues.extend(_upload_failure(element))
    if not issues:
        for element in root.iter("Status"):
            if text_of(element, "Code").startswith(("4", "5")):
                issues.extend(_issues(element, "error"))
    return [exact for issue in issues for exact in ([issue] if issue.tn else _located(issue))]


def warnings_in(root: etree._Element) -> list[Issue]:
    """What was applied with a remark (`<Warnings><Warning>`); the carrier's warnings have no code."""
    return [issue for element in root.iter("Warning") for issue in _issues(element, "warning")]


def _by_column(root: etree._Element, count: int) -> list[Issue]:
    """The errors of the usual order: one `<ErrorList>`, each error with one code, text and TN; else nothing.

    5,000 of them take twice the time of parsing them; child by child, four times.
    """
    errors = next(root.iter("ErrorList"), None)
    if errors is None or count != len(errors) or _CELLS(errors) != 3 * count:
        return []
    codes, texts, named = (_texts(xpath, errors) for xpath in _COLUMNS)
    tns = [*map(numbers.from_wire, named)]
    # Each column holds at most one text an error, so that full columns stand in line.
    if not len(codes) == len(texts) == len(tns) == count or not all(tns):
        return []
    return [Issue("error", tn, code.strip(), text.strip()) for tn, code, text in zip(tns, codes, texts, strict=True)]


def _texts(xpath: etree.XPath, element: etree._Element) -> list[str]:
    found: list[str] = xpath(element)
    return found


def _issues(element: etree._Element, kind: str) -> list[Issue]:
    fields = {str(child.tag): child.text for child in element}
    code = fields.get("Code") or fields.get("ErrorCode") or ""
    text = fields.get("Description")
    if text is None and not code:
        return []  # `<Errors>` is also the mere wrapper of `<Error>`
    code, text = code.strip(), (text or "").strip()
    return [
        Issue(kind, tn, code, text if tn or not shown else f"{text} ({shown})")
        for tn, shown in _tns_named(element, fields)
    ]


def _tns_named(element: etree._Element, fields: Mapping[str, str | None]) -> list[tuple[int, str]]:
    """(TN, its text) of all that an error is about; (0, "") alone when it is about the whole."""
    lists = [element.iterfind(f"{name}/*") for name in _TN_LISTS if name in fields]
    texts = [fields.get("TelephoneNumber"), *(child.text for tns in lists for child in tns)]
    return [(numbers.from_wire(text), text.strip()) for text in texts if text and text.strip()] or [(0, "")]


def _upload_failure(code: etree._Element) -> Iterator[Issue]:
    """File uploads answer with `<resultCode>`, 0 for success, beside a `<resultMessage>`."""
    parent, number = code.getparent(), (code.text or "").strip()
    if parent is not None and number not in {"", "0"}:
        yield Issue("error", 0, number, text_of(parent, "resultMessage"))


def refusal(answer: Answer) -> list[Issue]:
    """What a 4xx answer says; nothing when it is empty or no document of the carrier's."""
    try:
        return errors_in(parse(answer.body))
    except ProtocolError:
        return []


def _located(issue: Issue) -> list[Issue]:
    if _ANOTHER_TN.search(issue.text):
        return [issue]
    tns = [numbers.from_wire(found) for found in _TN_IN_TEXT.findall(issue.text)]
    return [issue._replace(tn=tn) for tn in tns if tn] or [issue]
