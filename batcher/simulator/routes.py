"""The carrier's resources: which request is answered by what. HTTP itself, credentials and faults are not known here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np

from batcher.simulator import answers, orders, sippeers
from batcher.simulator.account import IMPORT_TN_CHECKER, Account
from batcher.simulator.answers import Reply
from batcher.simulator.numbers import Tns, read_tn, wire
from batcher.simulator.orders import Order
from batcher.simulator.tnoptions import Refused, parse

MAX_TNS_PER_CHECK = 5_000
MAX_TNS_PER_LIST = 2_500
MAX_ORDERS_PER_LIST = 1_000

_MISSING = "The resource does not exist"
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True)
class Call:
    """One request of somebody who may make it."""

    method: str
    #: below the account, or below the API's base
    path: str
    query: Sequence[tuple[str, str]]
    body: bytes
    api: str
    #: what the path names; for the paths without an account, the account of the options
    account_id: str
    user: str
    #: epoch seconds
    now: float
    #: whether an order that this call makes appears in lists
    listed: bool = True


Route = Callable[[Account, Call, Mapping[str, str]], Reply]


def answer(account: Account, call: Call) -> Reply:
    """Execute the request; 404 for a path the simulator does not know, 405 for a method it does not take there."""
    known = False
    for method, pattern, route in _ROUTES:
        if found := pattern.fullmatch(call.path):
            known = True
            if method == call.method:
                return route(account, call, found.groupdict())
    return Reply(405 if known else 404)


def _post_order(account: Account, call: Call, _parts: Mapping[str, str]) -> Reply:
    root = "TnOptionOrderResponse"
    try:
        order = account.post_order(
            call.body, api=call.api, account_id=call.account_id, user=call.user, now=call.now, listed=call.listed
        )
    except Refused as refused:
        return Reply(400, answers.response_status(root, refused.code, refused.text))
    shown = answers.order(order, api=call.api, status="RECEIVED", modified=order.created, errors=(), warnings=())
    # The carrier names another host and base than the one that was called (API.md 7, point 15).
    location = f"https://dashboard.bandwidth.com:443/v1.0/accounts/{call.account_id}/tnoptions/{order.order_id}"
    return Reply(201, answers.document(f"<{root}>{shown}</{root}>"), {"Location": location})


def _get_order(account: Account, call: Call, parts: Mapping[str, str]) -> Reply:
    order = account.orders.get(parts["order_id"].lower())
    if order is None or order.account_id != call.account_id:
        return Reply(404, answers.response_status("TnOptionOrderReportResponse", "", _MISSING))
    orders.poll(order, account.options.settle, call.now)
    return Reply(200, answers.document(_detail(account, call, order)))


def _detail(account: Account, call: Call, order: Order) -> str:
    settle = account.options.settle
    is_settled = orders.is_settled(order, settle, call.now)
    return answers.order(
        order,
        api=call.api,
        status=orders.status(order, settle, call.now),
        modified=orders.modified(order, settle, call.now),
        errors=account.errors(order.tns) if is_settled else (),
        warnings=account.warnings(order.tns) if is_settled else (),
    )


def _list_orders(account: Account, call: Call, _parts: Mapping[str, str]) -> Reply:
    try:
        found = list(_matching(account, call))
    except ValueError as error:
        return Reply(404, answers.response_status("TnOptionOrderReportResponse", "", str(error)))
    if not found and account.options.empty_list == "204":
        return Reply(204)
    if not found and account.options.empty_list == "404":
        return Reply(404, answers.response_status("TnOptionOrderReportResponse", "", _MISSING))
    shown = found[:MAX_ORDERS_PER_LIST]
    if ("orderDetails", "true") in call.query:
        return Reply(200, answers.order_list(len(found), (_detail(account, call, order) for order in shown)))
    return Reply(200, answers.order_list(len(found), (_summary(account, call, order) for order in shown)))


def _summary(account: Account, call: Call, order: Order) -> str:
    options = account.options
    return answers.summary(
        order,
        status=orders.status(order, options.settle, call.now),
        modified=orders.modified(order, options.settle, call.now),
        with_customer_order_id=options.summary_customer_order_id,
    )


def _matching(account: Account, call: Call) -> Iterator[Order]:
    """The visible orders that pass every filter, newest first; ValueError for a malformed filter.

    The days follow the letter of openapi (GetTnOptionOrders): modifiedDate… include them, the others do not.
    Parameters that the carrier does not know are ignored.
    """
    query = {name: value for name, value in call.query if value}
    days = {name: _day(name, query[name]) for name in _DAYS if name in query}
    tn = _searched_tn(query["tn"], call.api) if "tn" in query else None
    statuses = {value.upper() for name, value in call.query if name == "status" and value}
    settle = account.options.settle
    for order in reversed(account.orders.values()):
        if order.account_id != call.account_id or not order.is_listed:
            continue
        if call.now < order.created + account.options.list_lag:
            continue
        if "customerOrderId" in query and order.customer_order_id != query["customerOrderId"]:
            continue
        if not order.order_id.startswith(query.get("orderIdFragment", "").lower()):
            continue
        if tn is not None and not order.has(tn):
            continue
        if statuses and orders.status(order, settle, call.now) not in statuses:
            continue
        if "lastModifiedBy" in query and order.user != query["lastModifiedBy"]:
            continue
        created, modified = _utc_day(order.created), _utc_day(orders.modified(order, settle, call.now))
        if all(_DAYS[name](created, modified, day) for name, day in days.items()):
            yield order


#: by parameter: (day of creation, day of change, day asked for) -> it passes
_DAYS: Mapping[str, Callable[[date, date, date], bool]] = {
    "createdDateFrom": lambda created, _, day: created > day,
    "createdDateTo": lambda created, _, day: created < day,
    "modifiedDateFrom": lambda _, modified, day: modified >= day,
    "modifiedDateTo": lambda _, modified, day: modified <= day,
    "lastModifiedAfter": lambda _, modified, day: modified > day,
}


def _day(name: str, text: str) -> date:
    if not _DAY.fullmatch(text):
        raise ValueError(f"{name} '{text}' is invalid. Format is yyyy-MM-dd.")
    return date.fromisoformat(text)


def _searched_tn(text: str, api: str) -> int:
    if tn := read_tn(text, api):
        return tn
    raise ValueError(f"Telephone number '{text}' is invalid.")


def _utc_day(seconds: float) -> date:
    return datetime.fromtimestamp(seconds, UTC).date()


def _check_import(account: Account, call: Call, _parts: Mapping[str, str]) -> Reply:
    root = "ImportTnCheckerResponse"
    try:
        payload = parse(call.body, "ImportTnCheckerPayload")
    except Refused as refused:
        return Reply(400, answers.flat_errors(root, [(refused.code, refused.text)]))
    texts = [(child.text or "").strip() for child in payload.iterfind("TelephoneNumbers/TelephoneNumber")]
    tns = [read_tn(text, call.api) for text in texts]
    if refusals := _check_refusals(texts, tns, (payload.findtext("SiteId") or "").strip()):
        return Reply(400, answers.flat_errors(root, refusals))
    errors: dict[tuple[str, str], list[str]] = {}
    refused_tns = set()
    for remark in account.errors(np.array(tns, np.int64), IMPORT_TN_CHECKER):
        errors.setdefault((remark.code, remark.text), []).append(wire(remark.tn, call.api))
        refused_tns.add(remark.tn)
    return Reply(200, answers.checker([tn for tn in tns if tn not in refused_tns], errors, call.api))


def _check_refusals(texts: Sequence[str], tns: Sequence[int], site_id: str) -> list[tuple[str, str]]:
    """Why the whole check is refused (CreateRequestImportTnChecker 400): each bad TN is named."""
    if not site_id.isdecimal():
        return [("7309", "The site id was not supplied or is invalid.")]
    if not texts:
        return [("5073", "Telephone number is required.")]
    if len(texts) > MAX_TNS_PER_CHECK:
        return [
            ("5095", f"The count of telephone numbers in order exceeds the maximum size of {MAX_TNS_PER_CHECK}"),
        ]
    seen: set[int] = set()
    refusals = []
    for text, tn in zip(texts, tns, strict=True):
        if not tn:
            refusals.append(("7201", f"{text} is not a valid NANP telephone number."))
        elif tn in seen:
            refusals.append(("7201", f"{text} is a duplicate telephone number."))
        seen.add(tn)
    return refusals


def _get_sippeer(account: Account, call: Call, parts: Mapping[str, str]) -> Reply:
    record = account.sippeer(call.account_id, **parts)
    if record is None:
        return _no_sippeer(call, parts)
    return Reply(200, sippeers.answer(record, parts["sippeer_id"]))


def _put_sippeer(account: Account, call: Call, parts: Mapping[str, str]) -> Reply:
    if account.sippeer(call.account_id, **parts) is None:
        return _no_sippeer(call, parts)
    try:
        record = account.put_sippeer(call.body, account_id=call.account_id, **parts)
    except Refused as refused:
        return Reply(400, answers.response_status("SipPeerResponse", refused.code, refused.text))
    return Reply(200, sippeers.answer(record, parts["sippeer_id"]))


def _no_sippeer(call: Call, parts: Mapping[str, str]) -> Reply:
    """400, not 404 (ReadSipPeer)."""
    text = f"Sip Peer '{parts['sippeer_id']}' account '{call.account_id}' and site '{parts['site_id']}' does not exist"
    return Reply(400, answers.response_status("SipPeerResponse", "13563", text))


def _tn_details(account: Account, call: Call, parts: Mapping[str, str]) -> Reply:
    root = "TelephoneNumberResponse"
    tn = read_tn(parts["tn"], call.api)
    if not tn:
        text = f"Telephone number '{parts['tn']}' is not valid"
        return Reply(400, answers.response_status(root, "12512", text))
    if not account.holds(np.array([tn], np.int64))[0]:
        return Reply(404, answers.response_status(root, "", _MISSING))
    options = account.tn_options(tn, call.now)
    return Reply(200, answers.tn_details(tn, options, api=call.api, account_id=call.account_id))


def _list_tns(account: Account, call: Call, _parts: Mapping[str, str]) -> Reply:
    root = "TelephoneNumbersResponse"
    try:
        texts = [(child.text or "").strip() for child in parse(call.body, "TnList").iterfind("Tn")]
    except Refused as refused:
        return Reply(400, answers.response_status(root, refused.code, refused.text))
    if len(texts) > MAX_TNS_PER_LIST:
        text = f"The count of Telephone numbers in POST body exceeds the maximum size of {MAX_TNS_PER_LIST}"
        return Reply(400, answers.response_status(root, "15607", text))
    tns: Tns = np.array([read_tn(text, call.api) for text in texts], np.int64)
    held = (tns > 0) & account.holds(tns)
    errors = {
        ("15608", "Input contains invalid Telephone Numbers"): [
            text for text, tn in zip(texts, tns.tolist(), strict=True) if not tn
        ],
        ("15610", f"Telephone Numbers cannot be found on account(s) {call.account_id}"): [
            wire(tn, call.api) for tn in tns[(tns > 0) & ~held].tolist()
        ],
    }
    named = {error: numbers for error, numbers in errors.items() if numbers}
    return Reply(200, answers.tn_list(tns[held].tolist(), named, api=call.api, account_id=call.account_id))


def _route(method: str, path: str, route: Route) -> tuple[str, re.Pattern[str], Route]:
    """`{name}` stands for one part of the path; case does not count (API.md 1.1)."""
    return method, re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path), re.IGNORECASE), route


_ROUTES = (
    _route("POST", "tnoptions", _post_order),
    _route("GET", "tnoptions", _list_orders),
    _route("GET", "tnoptions/{order_id}", _get_order),
    _route("POST", "importTnChecker", _check_import),
    _route("GET", "sites/{site_id}/sippeers/{sippeer_id}", _get_sippeer),
    _route("PUT", "sites/{site_id}/sippeers/{sippeer_id}", _put_sippeer),
    _route("GET", "/tns/{tn}/tndetails", _tn_details),
    _route("POST", "/tns", _list_tns),
)
