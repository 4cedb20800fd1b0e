"""Assigning courses: by search and by file, without a network, and what became of it."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Final

import pytest
from playwright.sync_api import Page, expect

from holdfast.core.ids import uuid7
from tests.browser.admin import (
    SCHOOL,
    a_file,
    assign_now,
    choose_course,
    enrol,
    go,
    heading,
    newest_act,
)
from tests.browser.learner import journal_lines, reads_without_a_network, sign_out
from tests.served import Served, completed, until
from tests.unit.web.test_store_out import set_aside

pytestmark = pytest.mark.browser


@contextmanager
def store_locked(served: Served) -> Iterator[None]:
    """Somebody else writes to the store all the while: it can be read, and nothing is applied."""
    with closing(sqlite3.connect(served.data / "store.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def choose_all_of_them(page: Page, count: int) -> None:
    """A course, and whom `enrol` made."""
    go(page, "Assign")
    choose_course(page, "Reading the tide")
    page.get_by_label("Search by name or e-mail").fill("pia")
    page.get_by_role("button", name=f"Choose all {count}", exact=True).click()
    expect(page.get_by_text(f"{count} people are chosen.")).to_be_visible()


def on_this_device(page: Page, *paths: str) -> None:
    """Wait until the worker has stored the answers at these addresses."""
    held = """async (paths) => {
        const held = await Promise.all(paths.map((path) => caches.match(path, {ignoreVary: true})));
        return held.every(Boolean);
    }"""
    until(lambda: page.evaluate(held, list(paths)), 30.0)


def test_everybody_who_fits_a_search_is_assigned_a_course_in_one_event(ben: Page, served: Served) -> None:
    enrol(served, 120)
    choose_all_of_them(ben, 120)
    ben.get_by_label(re.compile("^Due on")).fill("2031-12-24")
    ben.get_by_role("button", name="See what will happen", exact=True).click()
    expect(ben.get_by_role("dialog")).to_contain_text("120 learners will get it")
    ben.get_by_role("dialog").get_by_role("button", name="Assign to 120 learners", exact=True).click()
    expect(newest_act(ben)).to_contain_text("Assigned to 120, 0 had it already, 0 refused.")
    [line] = [json.loads(line) for line in journal_lines(served, "course.assigned")][-1:]
    assert len(line["e"]["body"]["userIds"]) == 120
    assert line["e"]["orgId"] == SCHOOL

    go(ben, "Who has done what")
    ben.get_by_label("Learner, by name or e-mail").fill("pia-007")
    expect(ben.get_by_role("row", name=re.compile("Pia 007"))).to_contain_text("0 of 5")


def test_people_who_come_late_into_the_draft_are_not_in_what_was_confirmed(ben: Page, served: Served) -> None:
    enrol(served, 3)
    go(ben, "Assign")
    choose_course(ben, "Reading the tide")
    ben.get_by_label("Search by name or e-mail").fill("pia")
    ben.get_by_role("checkbox", name=re.compile("^Pia 001")).check()
    # How many there are must be known before nobody answers.
    expect(ben.get_by_role("button", name="Choose all 3", exact=True)).to_be_visible()
    with served.paused():
        ben.get_by_role("button", name="Choose all 3", exact=True).click()
        ben.get_by_role("button", name="See what will happen", exact=True).click()
        expect(ben.get_by_role("dialog")).to_contain_text("1 learner will get it")
    expect(ben.get_by_text("3 people are chosen.")).to_be_visible()
    ben.get_by_role("dialog").get_by_role("button", name="Assign to 1 learner", exact=True).click()
    expect(newest_act(ben)).to_contain_text("Assigned to 1, 0 had it already, 0 refused.")


def test_five_thousand_learners_are_assigned_in_one_event(ben: Page, served: Served) -> None:
    enrol(served, 5_000)
    choose_all_of_them(ben, 5000)
    assign_now(ben)
    expect(newest_act(ben)).to_contain_text("Assigned to 5000, 0 had it already, 0 refused.")
    assert len(json.loads(journal_lines(served, "course.assigned")[-1])["e"]["body"]["userIds"]) == 5_000


def test_people_of_a_file_are_assigned_and_unknown_lines_are_named(ben: Page, served: Served) -> None:
    enrol(served, 2)
    go(ben, "Assign")
    choose_course(ben, "Reading the tide")
    ben.get_by_label("By a file").check()
    emails = ["pia-000@x.example", "stranger@x.example", "PIA-001@x.example", "cleo@highland.example"]
    text = "name;E-Mail\r\n" + "".join(f"Somebody;{email}\r\n" for email in emails)
    ben.get_by_label("People as a CSV file").set_input_files(a_file("class.csv", text))
    expect(ben.get_by_text("class.csv: 2 people are chosen, 2 lines are left out.")).to_be_visible()
    table = ben.get_by_role("table", name="Lines that are left out", exact=True)
    for line, who in ((3, "stranger@x.example"), (5, "cleo@highland.example")):
        expect(table.get_by_role("row", name=re.compile(f"^{line} {who} nobody of this"))).to_be_visible()
    assign_now(ben)
    expect(newest_act(ben)).to_contain_text("Assigned to 2, 0 had it already, 0 refused.")


def test_a_file_whose_people_could_not_be_looked_up_is_looked_up_once_the_store_is_back(
    ben: Page, served: Served
) -> None:
    enrol(served, 2)
    go(ben, "Assign")
    choose_course(ben, "Reading the tide")
    ben.get_by_label("By a file").check()
    with set_aside(served.data, lambda _: None):
        ben.get_by_label("People as a CSV file").set_input_files(
            a_file("class.csv", "pia-000@x.example\npia-001@x.example\n")
        )
        expect(ben.get_by_text("class.csv stays open here and is looked up")).to_be_visible()
        # That the store is out, and not another loss, such as a slow disk's: it must be back after this.
        expect(ben.locator(".banner")).to_contain_text(STORE_OUT)
    expect(ben.get_by_text("class.csv: 2 people are chosen, no line is left out.")).to_be_visible()


STORE_OUT: Final = re.compile("Signing in, courses and totals|Changes by admins, and new totals")


def test_assigning_without_a_network_tells_the_truth_at_each_moment_and_happens_once(
    ben: Page, served: Served
) -> None:
    enrol(served, 3)
    before = len(journal_lines(served, "course.assigned"))
    choose_all_of_them(ben, 3)
    ben.context.set_offline(True)
    assign_now(ben)
    expect(newest_act(ben)).to_contain_text("on this device")
    expect(newest_act(ben)).to_contain_text("not on the server yet")
    expect(ben.get_by_text("Sent: it is on the server")).to_have_count(0)
    expect(ben.get_by_text(re.compile("Assigned to 3"))).to_have_count(0)
    assert len(journal_lines(served, "course.assigned")) == before
    ben.context.set_offline(False)
    expect(newest_act(ben)).to_contain_text("Assigned to 3, 0 had it already, 0 refused.")
    assert len(journal_lines(served, "course.assigned")) == before + 1


def test_an_assignment_kept_while_the_portal_was_down_survives_a_reload(ben: Page, served: Served) -> None:
    enrol(served, 2)
    choose_all_of_them(ben, 2)
    served.kill()
    assign_now(ben)
    expect(newest_act(ben)).to_contain_text("on this device")
    served.start()
    ben.reload()
    heading(ben, "Assign a course")
    expect(newest_act(ben)).to_contain_text("Assigned to 2, 0 had it already, 0 refused.")
    assert len(journal_lines(served, "course.assigned")) == 3  # the demo's own two, and this one


def test_a_new_assignment_is_begun_after_a_reload_without_a_network(ben: Page, served: Served) -> None:
    enrol(served, 3)
    before = len(journal_lines(served, "course.assigned"))
    reads_without_a_network(ben)
    go(ben, "People")
    on_this_device(ben, "/api/admin/users?active=true&limit=50")
    go(ben, "Assign")
    on_this_device(ben, "/api/admin/courses", "/api/admin/users?active=true&limit=500")
    ben.context.set_offline(True)
    ben.reload()
    heading(ben, "Assign a course")
    expect(ben.get_by_text("Shown from this device. As the server had it at").first).to_be_visible()
    choose_course(ben, "Reading the tide")
    ben.get_by_label("Search by name or e-mail").fill("PIA")
    expect(ben.get_by_text("The search goes through the 5 people this device knows.")).to_be_visible()
    ben.get_by_role("button", name="Choose all 3", exact=True).click()
    expect(ben.get_by_text("3 people are chosen.")).to_be_visible()
    assign_now(ben)
    expect(newest_act(ben)).to_contain_text("on this device")
    expect(newest_act(ben)).to_contain_text("not on the server yet")
    assert len(journal_lines(served, "course.assigned")) == before
    go(ben, "People")
    expect(ben.get_by_role("row", name=re.compile("Pia 002"))).to_be_visible()
    expect(ben.get_by_text("Shown from this device. As the server had it at")).to_be_visible()
    ben.context.set_offline(False)
    go(ben, "Assign")
    expect(newest_act(ben)).to_contain_text("Assigned to 3, 0 had it already, 0 refused.")
    assert len(journal_lines(served, "course.assigned")) == before + 1
    sign_out(ben)
    expect(ben.get_by_label("Password")).to_be_visible()
    kept = "async () => (await caches.keys()).some((name) => /^holdfast-[0-9a-f]{16}-/.test(name))"
    until(lambda: not ben.evaluate(kept), 30.0)


def test_what_is_on_the_server_and_waits_to_be_applied_is_called_that(ben: Page, served: Served) -> None:
    enrol(served, 2)
    choose_all_of_them(ben, 2)
    with store_locked(served):
        assign_now(ben)
        expect(newest_act(ben)).to_contain_text("Sent: it is on the server and waits to be applied.")
        expect(ben.get_by_text(re.compile("Assigned to 2"))).to_have_count(0)
        assert journal_lines(served, "course.assigned")
    expect(newest_act(ben)).to_contain_text("Assigned to 2, 0 had it already, 0 refused.")


def test_what_the_server_took_and_could_not_apply_is_called_parked_with_the_reason_until_it_is_applied(
    ben: Page, served: Served
) -> None:
    enrol(served, 2)
    choose_all_of_them(ben, 2)
    hidden = "UPDATE courses SET id = ? WHERE org_id = 'tidewater' AND id = ?"
    with closing(sqlite3.connect(served.data / "store.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assign_now(ben)
        expect(newest_act(ben)).to_contain_text("Sent: it is on the server and waits to be applied.")
        other.execute(hidden, ("elsewhere", "reading-the-tide"))
        other.execute("COMMIT")
        expect(newest_act(ben)).to_contain_text(PARKED, timeout=60_000)
        # Nothing is refused on the device: what the server keeps is in that one place.
        expect(ben.get_by_text("The server will not have")).to_have_count(0)
        other.execute(hidden, ("reading-the-tide", "elsewhere"))
    with served.client("olu") as olu:
        [letter] = olu.get("/api/admin/offline/deadletters?status=parked").json()["items"]
        assert olu.post(f"/api/admin/offline/deadletters/{letter['id']}/redrive").status_code == 200
    # The page looks again by itself, though not within a test's patience.
    ben.reload()
    expect(newest_act(ben)).to_contain_text("Assigned to 2, 0 had it already, 0 refused.")


PARKED: Final = re.compile(
    r"The server has it, but could not apply it and parked it: .*course.*[^.]\. Operators see it"
)


def test_assigning_to_many_is_held_up_while_the_school_has_too_much_to_apply(
    ben: Page, served: Served
) -> None:
    enrol(served, 2)
    choose_all_of_them(ben, 2)
    button = ben.get_by_role("button", name="See what will happen", exact=True)
    expect(button).to_be_enabled()
    with served.client("ada") as ada, store_locked(served):
        events = [completed("reading-the-tide", "01-why-the-sea-moves") for _ in range(51)]
        answer = ada.post("/api/client/progress/batch", json={"events": events})
        assert answer.status_code == 202
        expect(ben.get_by_text("51 things of your organisation are saved")).to_be_visible(timeout=60_000)
        expect(button).to_be_disabled()
    expect(button).to_be_enabled(timeout=60_000)


def test_a_closed_learner_is_told_of_before_and_listed_by_name_after(ben: Page, served: Served) -> None:
    enrol(served, 2)
    with served.client("ben") as direct:
        person = direct.get("/api/admin/users?search=pia-001").json()["items"][0]
        direct.patch(f"/api/admin/users/{person['id']}", json={"active": False})
    go(ben, "Assign")
    choose_course(ben, "Reading the tide")
    ben.get_by_label("By a file").check()
    ben.get_by_label("People as a CSV file").set_input_files(
        a_file("ids.csv", f"email\npia-000@x.example\n{person['email']}\n")
    )
    expect(ben.get_by_text("2 people are chosen.")).to_be_visible()
    ben.get_by_role("button", name="See what will happen", exact=True).click()
    expect(ben.get_by_role("dialog")).to_contain_text(
        "1 learner will be refused, because they are closed: Pia 001."
    )
    ben.get_by_role("dialog").get_by_role("button", name="Assign to 2 learners", exact=True).click()
    expect(newest_act(ben)).to_contain_text("Assigned to 1, 0 had it already, 1 refused.")
    newest_act(ben).get_by_text("Who was refused, and why").click()
    expect(newest_act(ben)).to_contain_text("Pia 001 pia-001@x.example: not an active member of this org")


def test_a_learner_who_left_the_school_meanwhile_is_refused_and_the_others_are_not(
    ben: Page, served: Served
) -> None:
    """Chosen while they were there, offline; another admin closed one of them before it was sent."""
    enrol(served, 2)
    choose_all_of_them(ben, 2)
    ben.context.set_offline(True)
    assign_now(ben)
    expect(newest_act(ben)).to_contain_text("on this device")
    with served.client("ben") as direct:
        person = direct.get("/api/admin/users?search=pia-001").json()["items"][0]
        direct.patch(f"/api/admin/users/{person['id']}", json={"active": False})
    ben.context.set_offline(False)
    expect(newest_act(ben)).to_contain_text("Assigned to 1, 0 had it already, 1 refused.")


def test_a_learner_of_another_school_named_by_another_tool_is_refused_and_stays_unnamed(
    ben: Page, served: Served
) -> None:
    with served.client("ben") as direct:
        body = {"id": uuid7(), "userIds": ["demo-ada", "demo-cleo"]}
        direct.post("/api/admin/courses/reading-the-tide/assign", json=body, headers={"Prefer": "wait=10"})
    go(ben, "Assign")
    expect(newest_act(ben)).to_contain_text("Assigned to 0, 1 had it already, 1 refused.")
    newest_act(ben).get_by_text("Who was refused, and why").click()
    expect(newest_act(ben)).to_contain_text("demo-cleo: not an active member of this org")
    expect(newest_act(ben)).not_to_contain_text("highland")


def test_a_wrong_assignment_is_taken_away_again(ben: Page) -> None:
    go(ben, "Who has done what")
    ben.get_by_role("checkbox", name=re.compile("^Ada")).check()
    ben.get_by_role("button", name="Take away 1 assignment…", exact=True).click()
    ben.get_by_role("dialog").get_by_role("button", name="Take away", exact=True).click()
    expect(newest_act(ben)).to_contain_text("Taken from 1, 0 did not have it, 0 refused.")
    expect(ben.get_by_text("No assignment fits this.")).to_be_visible()


def test_assigning_to_many_is_held_up_while_this_device_has_too_much_to_send(
    ben: Page, served: Served
) -> None:
    enrol(served, 60)
    go(ben, "Assign")
    choose_course(ben, "Reading the tide")
    ben.get_by_label("Search by name or e-mail").fill("pia")
    expect(ben.get_by_role("button", name="Choose all 60", exact=True)).to_be_visible()
    ben.context.set_offline(True)
    # One learner at a time always goes: 51 of them is what fills the outbox.
    for number in (*range(50), 0):
        ben.get_by_role("checkbox", name=re.compile(f"^Pia {number:03d}")).check()
        assign_now(ben)
    ben.get_by_role("checkbox", name=re.compile("^Pia 001")).check()
    ben.get_by_role("checkbox", name=re.compile("^Pia 002")).check()
    expect(ben.get_by_text("51 things on this device wait to be sent.")).to_be_visible()
    expect(ben.get_by_text("51 things wait on this device to be sent.")).to_be_visible()
    expect(ben.get_by_role("button", name="See what will happen", exact=True)).to_be_disabled()
    ben.context.set_offline(False)
    expect(ben.get_by_role("button", name="See what will happen", exact=True)).to_be_enabled(timeout=60_000)
