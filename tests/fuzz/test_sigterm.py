"""SIGTERM in the middle of a load: the portal ends by itself, soon, and keeps every event it accepted."""

import socket
import sqlite3
import threading
import time
from collections import Counter
from pathlib import Path

import httpx2
import pytest

from holdfast.settings import Settings
from tests.fuzz.wire import Answered, read_answer, request
from tests.served import NO_LIMITS, Served, completed, ledger_row, lesson_of, served, until

SENDERS = 6
DRAIN_S = 4


class Sender(threading.Thread):
    """Sends batches until told to stop; what it has in hand goes again until a receipt names it."""

    def __init__(self, portal: Served, course: str, lesson: str, stop: threading.Event) -> None:
        super().__init__()
        self._portal = portal
        self._course = course
        self._lesson = lesson
        self._stop_asked = stop
        self.accepted: list[str] = []
        self.statuses: Counter[str] = Counter()

    def run(self) -> None:
        with self._portal.client("ada") as client:
            while not self._stop_asked.is_set():
                batch = [completed(self._course, self._lesson) for _ in range(20)]
                try:
                    answer = client.post("/api/client/progress/batch", json={"events": batch})
                except httpx2.TransportError as gone:
                    self.statuses[type(gone).__name__] += 1
                    return
                self.statuses[str(answer.status_code)] += 1
                if answer.status_code != 202:
                    assert answer.headers["content-type"] == "application/problem+json"
                    return
                for receipt in answer.json()["receipts"]:
                    assert receipt["status"] == "accepted"
                    self.accepted.append(receipt["id"])


@pytest.mark.parametrize("after_s", [0.0, 0.7])
def test_a_portal_told_to_stop_under_load_ends_in_time_and_keeps_what_it_accepted(
    tmp_path: Path, after_s: float
) -> None:
    with served(tmp_path, {**NO_LIMITS, "HOLDFAST_DRAIN_TIMEOUT_S": str(DRAIN_S)}) as portal:
        with portal.client("ada") as ada:
            course, lesson = lesson_of(ada)
        stop = threading.Event()
        senders = [Sender(portal, course, lesson, stop) for _ in range(SENDERS)]
        for sender in senders:
            sender.start()
        until(lambda: all(sender.accepted for sender in senders))
        time.sleep(after_s)
        began = time.monotonic()
        status = portal.stop()
        took_s = time.monotonic() - began
        stop.set()
        for sender in senders:
            sender.join()
        assert status == 0, portal.log()[-4_000:]
        assert took_s < DRAIN_S + 2
        assert "Traceback" not in portal.log(), portal.log()[-4_000:]
        accepted = [event_id for sender in senders for event_id in sender.accepted]
        assert accepted
        portal.start()
        with portal.client("olu") as olu:
            until(lambda: ledger_row(olu)["pending"] == 0)
            row = ledger_row(olu)
        assert portal.stop() == 0
    with sqlite3.connect(tmp_path / "data" / "store.sqlite3") as store:
        marks = [event_id for (event_id,) in store.execute("select event_id from marks")]
    store.close()
    assert len(marks) == len(set(marks))
    assert set(accepted) <= set(marks)
    assert row["applied"] == len(marks) - 1, "highland's assignment is the other org's"


def test_a_sender_whose_body_never_comes_does_not_hold_the_portal_up(tmp_path: Path) -> None:
    with served(tmp_path, {"HOLDFAST_DRAIN_TIMEOUT_S": "1", "HOLDFAST_BODY_TIMEOUT_S": "60"}) as portal:
        with portal.client("ada") as ada:
            proof = [(name.encode(), ada.headers[name].encode()) for name in ("cookie", "x-csrf-token")]
        head = [*proof, (b"Content-Type", b"application/json"), (b"Content-Length", b"100")]
        head.append((b"Expect", b"100-continue"))
        host, _, port = portal.url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), 30) as line:
            line.sendall(request(b"POST", b"/api/client/progress/batch", head))
            # It is said when the body is waited for: the request is under way.
            go_on = b"HTTP/1.1 100 Continue\r\n\r\n"
            assert line.recv(len(go_on), socket.MSG_WAITALL) == go_on
            began = time.monotonic()
            answers: list[Answered] = []
            waiting = threading.Thread(target=lambda: answers.append(read_answer(line, began)))
            waiting.start()
            assert portal.stop() == 0
            took_s = time.monotonic() - began
            waiting.join()
        assert took_s < Settings().drain_timeout_s, "it takes the time that it was told, and not the usual"
        assert (answers[0].status, answers[0].code) == (503, "draining")
        assert "Traceback" not in portal.log(), portal.log()[-4_000:]
