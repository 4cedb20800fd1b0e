"""The faulty network itself: each of its faults takes place, and is counted where it does."""

from __future__ import annotations

import http.client
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from tests.browser import proxy as faults
from tests.browser.proxy import Proxy
from tests.served import until


class Portal(BaseHTTPRequestHandler):
    """Counts what it is asked, and says the count; at /stream it never ends."""

    protocol_version = "HTTP/1.1"
    asked = 0

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        type(self).asked += 1
        said = f"answer {self.asked} to {self.path}".encode()
        self.send_response(202)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"5\r\nfirst\r\n")
        self.wfile.flush()
        if self.path == "/broken":
            self.close_connection = True
            return
        time.sleep(0.05)
        self.wfile.write(b"6\r\nsecond\r\n0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        pass


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    Portal.asked = 0
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Portal) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        with Proxy(lambda: int(server.server_address[1])) as proxy:
            yield proxy
        server.shutdown()


def post(proxy: Proxy, path: str = "/api/x", timeout_s: float = 10.0) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=timeout_s)
    try:
        connection.request("POST", path, b"body")
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_what_nothing_strikes_passes_in_both_directions_on_one_connection(proxy: Proxy) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
    for n in (1, 2):
        connection.request("POST", "/api/x", b"body")
        assert connection.getresponse().read() == f"answer {n} to /api/x".encode()
    connection.request("GET", "/stream")
    assert connection.getresponse().read() == b"firstsecond"
    assert proxy.passed == [("POST", "/api/x", 202), ("POST", "/api/x", 202), ("GET", "/stream", 200)]
    connection.close()


def test_an_answer_that_the_portal_broke_off_is_broken_off_for_the_browser_too(proxy: Proxy) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
    connection.request("GET", "/broken")
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        connection.getresponse().read()
    connection.close()


def test_a_refused_link_takes_nobody_until_it_is_restored_on_the_same_port(proxy: Proxy) -> None:
    port = proxy.port
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        post(proxy)
    proxy.restore()
    assert proxy.port == port
    assert post(proxy)[0] == 202
    assert Portal.asked == 1


def test_a_cut_resets_connections_that_are_open(proxy: Proxy) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
    connection.request("POST", "/api/x", b"body")
    connection.getresponse().read()
    assert proxy.cut() == 1
    assert connection.sock is not None
    with pytest.raises(ConnectionError):
        connection.sock.recv(1)
    connection.close()


def test_a_hung_link_says_nothing_and_delivers_late(proxy: Proxy) -> None:
    proxy.hang()
    with pytest.raises(TimeoutError):
        post(proxy, timeout_s=0.3)
    until(lambda: proxy.hangs == 1)
    assert Portal.asked == 0
    proxy.restore()
    until(lambda: Portal.asked == 1)


def test_a_request_cut_before_the_portal_never_reaches_it(proxy: Proxy) -> None:
    strike = proxy.strike(faults.cut_before, times=1)
    with pytest.raises(ConnectionError):
        post(proxy)
    assert (strike.done, Portal.asked) == (1, 0)
    assert post(proxy)[0] == 202


def test_a_lost_answer_was_given(proxy: Proxy) -> None:
    strike = proxy.strike(faults.lose_answer, times=1)
    with pytest.raises(ConnectionError):
        post(proxy)
    assert Portal.asked == 1
    assert [each.body for each in strike.answers] == [b"answer 1 to /api/x"]


def test_half_an_answer_is_half(proxy: Proxy) -> None:
    strike = proxy.strike(faults.cut_within_answer, times=1)
    with pytest.raises((ConnectionError, http.client.IncompleteRead)):
        post(proxy)
    assert (strike.done, Portal.asked) == (1, 1)


def test_a_doubled_request_arrives_twice_and_the_second_answer_is_heard(proxy: Proxy) -> None:
    strike = proxy.strike(faults.ask_twice, times=1)
    assert post(proxy) == (202, "answer 2 to /api/x")
    assert (strike.done, Portal.asked) == (1, 2)


def test_a_doubled_answer_stands_twice_on_the_connection(proxy: Proxy) -> None:
    strike = proxy.strike(faults.answer_twice, times=1)
    asked = b"POST /api/x HTTP/1.1\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n"
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as connection:
        connection.sendall(asked)
        said = b""
        while said.count(b"answer 1 to /api/x") < 2:
            said += connection.recv(4096)
    assert (strike.done, Portal.asked) == (1, 1)


def test_a_withheld_answer_comes_when_the_strike_is_lifted(proxy: Proxy) -> None:
    strike = proxy.strike(faults.withhold, times=1)
    heard: list[tuple[int, str]] = []
    asking = threading.Thread(target=lambda: heard.append(post(proxy)))
    asking.start()
    until(lambda: strike.done)
    assert (heard, Portal.asked) == ([], 1)
    proxy.lift(strike)
    asking.join(10)
    assert heard == [(202, "answer 1 to /api/x")]


def test_a_strike_hits_as_often_as_it_was_told_and_only_where_it_matches(proxy: Proxy) -> None:
    strike = proxy.strike(faults.reply(429, "slow down", Retry_After="3"), path="/progress", times=2)
    assert post(proxy, "/api/other")[0] == 202
    assert [post(proxy, "/api/progress")[0] for _ in range(3)] == [429, 429, 202]
    assert strike.done == 2


def test_pages_of_the_tests_own_stand_on_the_same_origin(proxy: Proxy) -> None:
    proxy.pages["/own.html"] = ("text/html", b"<p>own")
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
    connection.request("GET", "/own.html?x=1")
    assert connection.getresponse().read() == b"<p>own"
    connection.close()
