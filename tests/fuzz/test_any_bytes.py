"""Any bytes at any address get a good answer or a problem document: no fault, no trace, no hang."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, seed, settings
from hypothesis import strategies as st

from holdfast.web.table import CALLS
from tests.fuzz.wire import WAIT_S, Answered, read_answer, request, require_sane, speak
from tests.served import NO_LIMITS, Served, completed, served

DEADLINE_S = 1.0
"""How long a hasty portal waits. The patient one waits longer than WAIT_S: no answer of its comes of that."""
DROPS, PAUSE_S = 80, 0.1
"""They drip for as long as WAIT_S: a deadline that begins anew with each would be later than that."""
BATCH = b"/api/client/progress/batch"
JSON = (b"Content-Type", b"application/json")

bounded = settings(derandomize=True, database=None, deadline=None, max_examples=200)
long = settings(database=None, deadline=None, max_examples=50 * int(os.environ.get("HOLDFAST_SEEDS", "200")))
first_seed = seed(int(os.environ.get("HOLDFAST_FIRST_SEED", "1")))


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with without_a_fault(tmp_path_factory.mktemp("bytes"), {}) as running:
        yield running


@pytest.fixture(scope="module")
def hasty_for_heads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with without_a_fault(tmp_path_factory.mktemp("heads"), {"HOLDFAST_HEAD_TIMEOUT_S": "1"}) as running:
        yield running


@pytest.fixture(scope="module")
def hasty_for_bodies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with without_a_fault(tmp_path_factory.mktemp("bodies"), {"HOLDFAST_BODY_TIMEOUT_S": "1"}) as running:
        yield running


@contextmanager
def without_a_fault(folder: Path, deadlines: dict[str, str]) -> Iterator[Served]:
    with served(folder, {**NO_LIMITS, **deadlines}) as running:
        yield running
        assert "Traceback" not in running.log(), running.log()[-4_000:]
        assert running.stop() == 0


def proof(portal: Served, who: str) -> list[tuple[bytes, bytes]]:
    with portal.client(who) as client:
        named = [(name, client.headers[name]) for name in ("cookie", "x-csrf-token")]
        return [(name.encode(), value.encode()) for name, value in named]


@pytest.fixture(scope="module")
def proofs(portal: Served) -> dict[str, list[tuple[bytes, bytes]]]:
    """Headers that prove each kind of asker."""
    found: dict[str, list[tuple[bytes, bytes]]] = {"anybody": []}
    for who in ("ada", "ben", "olu"):
        found[who] = proof(portal, who)
    with portal.service() as client:
        found["service"] = [(b"authorization", client.headers["authorization"].encode())]
    return found


# Requests that are HTTP, and odd in everything else

_segments = st.one_of(
    st.sampled_from(
        ["..", ".", "%00", "%ff%fe", "%2e%2e", "a" * 300, "'; drop table users;--", "%0d%0aX: y"]
    ),
    st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#?"), max_size=30),
).map(lambda text: text.encode().replace(b" ", b"%20"))
_queries = st.one_of(
    st.just(b""),
    st.sampled_from(
        [
            b"?",
            b"?limit=0",
            b"?limit=1e9",
            b"?limit=" + b"9" * 5000,
            b"?limit=1&limit=2",
            b"?%zz",
            b"?after=%00",
        ]
    ),
    st.binary(max_size=40).map(lambda raw: b"?" + bytes(c for c in raw if 33 <= c < 127 and c != 35)),
)
_paths = st.one_of(
    st.builds(
        lambda call, segment, query: (
            b"/".join(segment if part.startswith(b"{") else part for part in call.path.encode().split(b"/"))
            + query
        ),
        st.sampled_from(CALLS),
        _segments,
        _queries,
    ),
    st.builds(lambda a, b: b"/%b/%b" % (a, b), _segments, _segments),
)
_methods = st.sampled_from([b"GET", b"POST", b"PATCH", b"DELETE", b"PUT", b"HEAD", b"OPTIONS", b"TRACE"])
_values = st.binary(max_size=60).map(lambda raw: bytes(c for c in raw if c >= 32 and c != 127))
_names = st.sampled_from(
    [b"Content-Type", b"Accept", b"Cookie", b"Authorization", b"X-Org-Id", b"X-CSRF-Token", b"Prefer",
     b"If-None-Match", b"X-Client-Queue-Backlog", b"X-Client-Queue-Lag", b"Origin", b"traceparent", b"X-Odd",
     b"Sec-Fetch-Site", b"Accept-Encoding", b"Forwarded", b"X-Forwarded-For"]
)  # fmt: skip
_headers = st.lists(st.tuples(_names, _values), max_size=6)
_media = st.sampled_from(
    [b"application/json", b"application/json; charset=utf-16", b"text/plain", b"application/zip", b"text/csv",
     b"multipart/form-data", b"", b"application/" + b"x" * 500]
)  # fmt: skip
_json = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from([10**400, -(2**63) - 1, 1e308, 0.1, -0.0, 2**53, "\x00", "\ud800", "a" * 2000])
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["id", "events", "body", "kind", "orgId", "userIds", "email", "password", "title"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
_bodies = st.one_of(
    st.just(b""),
    st.binary(max_size=200),
    _json.map(lambda value: msgspec.json.encode(_plain(value))),
    st.sampled_from(
        [
            b'{"events":[{"id":"a"}],"events":[]}',
            b"\xef\xbb\xbf{}",
            b"[" * 100_000,
            b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
            b'{"events":[' + b"1e999999," * 50 + b"1]}",
            b'{"events":[' + b"9" * 10_000 + b"]}",
            b'{"events":["\\ud800"]}',
            b'{"events":["\xff\xfe"]}',
            b'{"events":[null,1,"a",{},[],true]}',
            b"null",
            b"\x00" * 100,
        ]
    ),
)


def _plain(value: object) -> object:
    """What msgspec can write: huge numbers as raw text, lone surrogates replaced."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**63:
        return msgspec.Raw(str(value).encode())
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


_requests = {
    "who": st.sampled_from(["anybody", "ada", "ben", "olu", "service"]),
    "method": _methods,
    "path": _paths,
    "media": _media,
    "headers": _headers,
    "body": _bodies,
}
_pieces = st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=3)
Proofs = dict[str, list[tuple[bytes, bytes]]]


def require_an_answer(portal: Served, proofs: Proofs, asked: dict[str, Any]) -> None:
    who, method, path, media, headers, body = (asked[name] for name in _requests)
    if path.startswith(b"/api/auth/logout"):
        return  # the proofs are needed by the next example
    every = [*proofs[who], *headers, (b"Content-Type", media), (b"Connection", b"close")]
    answer = speak(portal, request(method, path, every, body))
    require_sane(answer, (who, method, path, media, headers, body[:200]), head=method == b"HEAD")
    assert answer.status, (method, path)


def asking(who: str, method: bytes, path: bytes, body: bytes = b"") -> dict[str, Any]:
    """A request that was answered wrongly once, or might be."""
    plain = {"media": b"application/json", "headers": []}
    return {"who": who, "method": method, "path": path, "body": body, **plain}


@pytest.mark.soak
@first_seed
@long
@given(asked=st.fixed_dictionaries(_requests))
def test_any_request_to_any_address_for_long(portal: Served, proofs: Proofs, asked: dict[str, Any]) -> None:
    require_an_answer(portal, proofs, asked)


@pytest.mark.soak
@first_seed
@long
@given(pieces=_pieces)
def test_any_bytes_at_all_for_long(portal: Served, pieces: list[bytes]) -> None:
    require_sane(speak(portal, *pieces, finish=True), pieces)


@bounded
@given(**_requests)
@example(**asking("ada", b"POST", BATCH, b"[" * 100_000))
@example(**asking("ada", b"GET", b"/" + b"a" * 300 + b".js"))
@example(**asking("ada", b"GET", b"/api/client/courses/%00/lessons/%00"))
@example(**asking("ben", b"GET", b"/api/admin/assignments?after=%00%2f%ff"))
@example(**asking("olu", b"GET", b"/api/admin/offline/deadletters/a.%00"))
@example(**asking("olu", b"GET", b"/api/admin/offline/deadletters/a." + b"f" * 200))
@example(**asking("olu", b"GET", b"/api/admin/offline/deadletters/a\xff"))
@example(**asking("anybody", b"GET", b"/api/health/stream"))
@example(**asking("ada", b"HEAD", b"/api/health/stream"))
def test_any_request_to_any_address(portal: Served, proofs: Proofs, **asked: Any) -> None:  # noqa: ANN401
    require_an_answer(portal, proofs, asked)


# Bytes that are no HTTP


@bounded
@given(_pieces)
@example([b"GET / HTTP/9.9\r\n\r\n"])
@example([b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"])
@example([b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n"])
@example([b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])
def test_any_bytes_at_all(portal: Served, pieces: list[bytes]) -> None:
    require_sane(speak(portal, *pieces, finish=True), pieces)


BROKEN = {
    "two lengths": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length and chunks": (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "negative length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "length of letters": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ten\r\n\r\n",
    "endless length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + b"9" * 100 + b"\r\n\r\n",
    "bad chunk": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "header without colon": b"GET / HTTP/1.1\r\nHost a\r\n\r\n",
    "space before colon": b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    "nul in a header": b"GET / HTTP/1.1\r\nHost: a\x00b\r\n\r\n",
    "bare carriage return": b"GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n",
    "unknown method": b"BREW /coffee HTTP/1.1\r\nHost: a\r\n\r\n",
    "no request line": b"\r\n\r\n\r\n\r\n: x\r\n\r\n",
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_http_is_refused_with_a_problem_document_and_the_line_is_closed(
    portal: Served, what: str
) -> None:
    answer = speak(portal, BROKEN[what], finish=True)
    require_sane(answer, what)
    assert answer.status in (0, 400, 405)
    if answer.status == 400:
        assert answer.code == "malformed"
        assert answer.closed


# What never comes


def closed_in_time(answer: Answered) -> bool:
    return answer.closed and DEADLINE_S * 0.5 < answer.took_s < WAIT_S


def test_a_head_that_never_ends_is_closed_at_its_deadline(hasty_for_heads: Served) -> None:
    for pieces in ([b""], [b"GET / HT"], [b"GET / HTTP/1.1\r\nHost: a\r\nX-Half: "]):
        answer = speak(hasty_for_heads, *pieces)
        assert closed_in_time(answer), pieces


def test_a_head_that_drips_is_closed_at_its_deadline_too(hasty_for_heads: Served) -> None:
    drops = [b"GET / HTTP/1.1\r\n", *(b"X-%d: y\r\n" % n for n in range(DROPS))]
    assert closed_in_time(speak(hasty_for_heads, *drops, pause_s=PAUSE_S))


def test_a_second_head_on_a_kept_connection_has_the_same_deadline(hasty_for_heads: Served) -> None:
    host, _, port = hasty_for_heads.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), WAIT_S) as line:
        line.sendall(request(b"GET", b"/livez", []))
        assert read_answer(line, time.monotonic()).status == 200
        began = time.monotonic()
        line.sendall(b"GET /livez HTTP/1.1\r\nHos")
        assert closed_in_time(read_answer(line, began))


def test_a_head_that_is_endless_is_refused_before_it_fills_the_memory(portal: Served) -> None:
    more = b"X-Much: " + b"a" * 8_000 + b"\r\n"
    answer = speak(portal, b"GET / HTTP/1.1\r\nHost: a\r\n", *([more] * 2_000))
    require_sane(answer, "an endless head")
    assert answer.status in (0, 400)
    assert answer.closed
    assert answer.took_s < WAIT_S, "and not at its deadline"


@pytest.mark.parametrize("sent", [b"", b'{"events":['])
@pytest.mark.parametrize("how", [b"Content-Length: 100", b"Transfer-Encoding: chunked"])
def test_a_body_that_never_comes_is_408_at_its_deadline(
    hasty_for_bodies: Served, how: bytes, sent: bytes
) -> None:
    name, _, value = how.partition(b": ")
    body = b"%x\r\n%b\r\n" % (len(sent), sent) if sent and b"chunked" in how else sent
    answer = speak(
        hasty_for_bodies,
        request(b"POST", BATCH, [*proof(hasty_for_bodies, "ada"), JSON, (name, value)]),
        body,
    )
    require_sane(answer, how)
    assert (answer.status, answer.code) == (408, "body_timeout")
    assert closed_in_time(answer)


def test_a_body_that_drips_is_408_at_its_deadline_too(hasty_for_bodies: Served) -> None:
    head = request(b"POST", BATCH, [*proof(hasty_for_bodies, "ada"), JSON, (b"Content-Length", b"1000")])
    answer = speak(hasty_for_bodies, head, *([b" "] * DROPS), pause_s=PAUSE_S)
    assert (answer.status, answer.code) == (408, "body_timeout")
    assert closed_in_time(answer)


def test_a_stranger_is_refused_without_their_body_being_read(portal: Served) -> None:
    answer = speak(portal, request(b"POST", BATCH, [JSON, (b"Content-Length", b"200000")]))
    assert (answer.status, answer.code) == (401, "not_signed_in")
    assert answer.took_s < WAIT_S


# What is too much


def test_a_body_over_its_limit_is_413_whether_its_length_was_stated_or_not(
    portal: Served, proofs: dict[str, list[tuple[bytes, bytes]]]
) -> None:
    stated = speak(portal, request(b"POST", BATCH, [*proofs["ada"], JSON, (b"Content-Length", b"300000")]))
    assert (stated.status, stated.code) == (413, "body_too_large")
    assert b"262144" in stated.body
    assert stated.took_s < WAIT_S, "not a byte of it was waited for"
    chunk = b"%x\r\n%b\r\n" % (50_000, b" " * 50_000)
    head = request(b"POST", BATCH, [*proofs["ada"], JSON, (b"Transfer-Encoding", b"chunked")])
    flowing = speak(portal, head, *([chunk] * 10))
    assert (flowing.status, flowing.code) == (413, "body_too_large")
    assert flowing.closed


def test_events_beyond_100_are_413_and_the_answer_says_which_limit(
    portal: Served, proofs: dict[str, list[tuple[bytes, bytes]]]
) -> None:
    body = msgspec.json.encode({"events": [completed("a", "b") for _ in range(101)]})
    answer = speak(portal, request(b"POST", BATCH, [*proofs["ada"], JSON], body))
    assert (answer.status, answer.code) == (413, "too_many_events")


@pytest.mark.parametrize("media", [b"", b"text/html", b"application/x-www-form-urlencoded", b"\xff"])
def test_another_media_type_is_415_and_named(
    portal: Served, proofs: dict[str, list[tuple[bytes, bytes]]], media: bytes
) -> None:
    answer = speak(portal, request(b"POST", BATCH, [*proofs["ada"], (b"Content-Type", media)], b"{}"))
    assert (answer.status, answer.code) == (415, "unsupported_media_type")


# Pipelines and bystanders


def test_requests_sent_in_one_go_are_answered_in_order(portal: Served) -> None:
    host, _, port = portal.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), WAIT_S) as line:
        paths = [b"/livez", b"/api/nothing", b"/api/health"]
        line.sendall(b"".join(request(b"GET", path, []) for path in paths))
        line.sendall(request(b"GET", b"/readyz", [(b"Connection", b"close")]))
        data = b""
        while more := line.recv(65_536):
            data += more
    statuses = [part[:3] for part in data.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"200", b"404", b"200", b"200"]


def test_two_hundred_slow_senders_keep_nobody_else_waiting(portal: Served) -> None:
    host, _, port = portal.url.removeprefix("http://").partition(":")
    lines = [socket.create_connection((host, int(port)), WAIT_S) for _ in range(200)]
    try:
        for line in lines:
            line.sendall(b"POST /api/client/progress/batch HTTP/1.1\r\nHost: a\r\nContent-Le")
        began = time.monotonic()
        assert speak(portal, request(b"GET", b"/livez", [])).status == 200
        assert time.monotonic() - began < WAIT_S
    finally:
        for line in lines:
            line.close()
