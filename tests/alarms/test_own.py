"""The portal raises its own alarms: one page for one outage, called off when it is over, over restarts."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.alarms.mailbox import mailbox
from tests.alarms.receiver import Receiver, receiver
from tests.served import served, until

# An alarm is called off half a minute after its reason went, and the machine may be busy.
pytestmark = pytest.mark.timeout(300)

STORE = "holdfast/HoldfastPartLost/-/store"


def settings(pages: Receiver) -> dict[str, str]:
    return {
        "HOLDFAST_PAGERDUTY_KEY": "k" * 32,
        "HOLDFAST_PAGERDUTY_URL": pages.url,
        "HOLDFAST_HEALTH_DWELL_S": "1",
        "HOLDFAST_PROBE_PERIOD_S": "1",
    }


def test_an_outage_is_one_page_and_its_end_one_resolve(tmp_path: Path) -> None:
    with receiver() as pages, served(tmp_path, settings(pages)) as portal:
        with closing(sqlite3.connect(portal.data / "store.sqlite3", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            until(lambda: pages.taken, 30.0)
        until(lambda: len(pages.taken) > 1, 120.0)
        assert pages.acts() == [("trigger", STORE), ("resolve", STORE)]
        trigger = pages.taken[0]
        assert trigger["routing_key"] == "k" * 32
        payload = trigger["payload"]
        assert (payload["severity"], payload["component"], payload["source"]) == (
            "critical",
            "store",
            "holdfast",
        )
        assert payload["custom_details"]["runbook"]
        assert portal.stop() == 0


def test_a_portal_that_dies_meanwhile_still_tells_and_still_calls_off(tmp_path: Path) -> None:
    with receiver() as pages, mailbox() as mail:
        pages.status, mail.mood = 500, "refuses"
        with served(tmp_path, settings(pages) | {"HOLDFAST_ALARM_URLS": mail.url}) as portal:
            with closing(sqlite3.connect(portal.data / "store.sqlite3", isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                until(lambda: pages.asked and mail.asked, 30.0)
                portal.kill()
            assert not pages.taken
            assert not mail.taken
            noted = [
                json.loads(line) for line in (portal.data / "alarms.jsonl").read_text().splitlines() if line
            ]
            assert [each["entry"]["act"] for each in noted] == ["trigger"]
            pages.status, mail.mood = 202, "takes"
            portal.start()
            until(lambda: len(pages.taken) > 1 and len(mail.taken) > 1, 120.0)
            assert [each.partition(":")[0] for each in mail.subjects()] == ["Holdfast", "Over"]
            assert pages.acts() == [("trigger", STORE), ("resolve", STORE)], "in this order, under this key"
