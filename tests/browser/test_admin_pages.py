"""An administrator's courses and people, against a portal that is really served and really killed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from holdfast.learning.demo import PASSWORD
from tests.browser.admin import (
    BEN,
    a_file,
    administrator,
    choose_course,
    enrol,
    go,
    heading,
    zipped,
)
from tests.served import Served

pytestmark = pytest.mark.browser


# ---- courses ----


def test_a_real_course_is_imported_from_a_zip_and_its_dangling_links_are_told(
    ben: Page, shared_data: Path
) -> None:
    folder = shared_data / "courses" / "git-novice"
    data = zipped(
        {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    )
    ben.get_by_label("Course as a zip file").set_input_files(a_file("git.zip", data, "application/zip"))
    expect(ben.get_by_text(re.compile("was imported: 14 lessons"))).to_be_visible()
    expect(ben.get_by_text(re.compile(r"\d+ links lead nowhere"))).to_be_visible()
    ben.get_by_text(re.compile("lead nowhere")).click()
    expect(ben.get_by_text("episodes/07-github.md").first).to_be_visible()
    ben.get_by_role("link", name="Look at the course", exact=True).click()
    heading(ben, "Version Control with Git")
    expect(ben.locator("ol.rows > li")).to_have_count(14)


def test_a_course_of_the_same_id_is_replaced_or_kept_beside_only_when_asked(ben: Page) -> None:
    field = ben.get_by_label("Course as a zip file")
    first = zipped({"course.yaml": b"title: Knots", "a.md": b"# One\n\nFirst."})
    other = zipped({"course.yaml": b"title: Knots", "a.md": b"# One\n\nOther.", "b.md": b"# Two"})
    field.set_input_files(a_file("knots.zip", first, "application/zip"))
    expect(ben.get_by_text(re.compile("“Knots” was imported: 1 lesson"))).to_be_visible()

    field.set_input_files(a_file("other.zip", other, "application/zip"))
    dialog = ben.get_by_role("dialog")
    expect(dialog.get_by_text("Nothing has been changed yet")).to_be_visible()
    dialog.get_by_role("button", name="Import nothing", exact=True).click()
    expect(ben.locator("ul.rows > li", has_text="Knots")).to_have_count(1)
    expect(ben.locator("ul.rows > li", has_text="Knots")).to_contain_text("1 lesson")

    field.set_input_files(a_file("other.zip", other, "application/zip"))
    expect(dialog.get_by_label("Or keep both")).to_have_value("knots-2")
    dialog.get_by_label("Or keep both").fill("import")
    dialog.get_by_role("button", name="Keep both", exact=True).click()
    expect(ben.get_by_text("the id 'import' is an address of the portal's own")).to_be_visible()

    field.set_input_files(a_file("other.zip", other, "application/zip"))
    dialog.get_by_role("button", name="Keep both", exact=True).click()
    expect(ben.locator("ul.rows > li", has_text="Knots")).to_have_count(2)

    field.set_input_files(a_file("other.zip", other, "application/zip"))
    dialog.get_by_role("button", name="Replace it", exact=True).click()
    expect(ben.get_by_text(re.compile("“Knots” was replaced: 2 lessons"))).to_be_visible()


def test_a_faulty_course_is_refused_whole_with_every_fault_named(ben: Page) -> None:
    bad = zipped({"course.yaml": b"title: Bad\nlessons: [a.md, gone.md]", "a.md": b"\xff"})
    ben.get_by_label("Course as a zip file").set_input_files(a_file("bad.zip", bad, "application/zip"))
    alert = ben.get_by_text(re.compile("The course was not imported"))
    expect(alert).to_contain_text("gone.md")
    expect(alert).to_contain_text("is not UTF-8")
    expect(ben.locator("ul.rows > li", has_text="Bad")).to_have_count(0)


def test_what_was_typed_stays_when_the_server_is_gone_and_is_saved_when_it_is_back(
    ben: Page, served: Served
) -> None:
    ben.get_by_role("link", name="Reading the tide", exact=True).click()
    title = ben.get_by_role("textbox", name="Title", exact=True)
    title.fill("Reading the tides")
    served.kill()
    ben.get_by_role("button", name="Save", exact=True).click()
    expect(ben.get_by_text("Nothing you typed is lost")).to_be_visible()
    expect(title).to_have_value("Reading the tides")
    served.start()
    ben.get_by_role("button", name="Save", exact=True).click()
    expect(ben.get_by_text("Saved on the server.")).to_be_visible()
    heading(ben, "Reading the tides")


def test_a_course_is_hidden_from_learners_and_shown_again(ben: Page, served: Served) -> None:
    def seen() -> list[str]:
        with served.client("ada") as ada:
            return [course["id"] for course in ada.get("/api/client/courses").json()["items"]]

    ben.get_by_role("link", name="Reading the tide", exact=True).click()
    ben.get_by_role("button", name="Hide it from learners", exact=True).click()
    expect(ben.get_by_text("hidden from learners")).to_be_visible()
    assert "reading-the-tide" not in seen()
    ben.get_by_role("button", name="Show it to learners", exact=True).click()
    expect(ben.get_by_role("button", name="Hide it from learners", exact=True)).to_be_visible()
    assert "reading-the-tide" in seen()


def test_what_is_typed_while_a_course_is_being_saved_stays_typed(ben: Page, served: Served) -> None:
    ben.get_by_role("link", name="Reading the tide", exact=True).click()
    description = ben.get_by_role("textbox", name="Description", exact=True)
    ben.get_by_label("Title", exact=True).fill("Reading the sea")
    with served.paused():
        ben.get_by_role("button", name="Save", exact=True).click()
        expect(ben.get_by_role("button", name="Saving…", exact=True)).to_be_visible()
        description.fill("Half a thought")
    heading(ben, "Reading the sea")
    expect(ben.get_by_role("button", name="Save", exact=True)).to_be_enabled()
    expect(description).to_have_value("Half a thought")


def test_a_change_goes_through_after_the_same_person_signed_in_again_in_another_tab(
    ben: Page, served: Served
) -> None:
    ben.get_by_role("link", name="Reading the tide", exact=True).click()
    ben.get_by_label("Title", exact=True).fill("Reading the sea")
    again = ben.request.post(f"{served.url}/api/auth/login", data={"email": BEN, "password": PASSWORD})
    assert again.ok, again.text()
    ben.get_by_role("button", name="Save", exact=True).click()
    expect(ben.get_by_text("Saved on the server.")).to_be_visible()
    heading(ben, "Reading the sea")


# ---- people ----


def test_people_come_from_a_csv_whose_bad_rows_are_named_and_whose_good_ones_are_kept(ben: Page) -> None:
    go(ben, "People")
    with ben.expect_download() as template:
        ben.get_by_role("button", name="Get a file to fill in", exact=True).click()
    assert Path(template.value.path()).read_text().startswith("email,name,role")
    rows = [
        "\ufeffemail;name;role",
        "ivy@x.example;Ivy;learner",
        "no-address;Nobody;learner",
        "jo@x.example;Jo;king",
    ]
    text = "\r\n".join(rows)
    ben.get_by_label("People as a CSV file").set_input_files(a_file("people.csv", text))
    expect(
        ben.get_by_text("people.csv: 1 added, 0 changed, 0 as they were, and 2 rows were left out.")
    ).to_be_visible()
    table = ben.get_by_role("table", name=re.compile("Left out"))
    expect(table.get_by_role("row", name=re.compile("^3 no-address"))).to_be_visible()
    expect(table.get_by_role("row", name=re.compile("^4 .*role must be learner or admin"))).to_be_visible()
    ben.get_by_label("Search by name or e-mail").fill("ivy")
    expect(ben.get_by_text("1 of 1 person")).to_be_visible()


@pytest.fixture
def unheld(browser: Browser, served: Served) -> Iterator[Page]:
    """An administrator whose page asks the server, and no worker in between."""
    with administrator(browser, served, workers="block") as page:
        yield page


def out(route: Route) -> None:
    """The store is out; everything else of the portal goes on."""
    problem = {"code": "store_out", "title": "The store is out", "detail": "The store does not answer."}
    route.fulfill(status=503, json=problem, content_type="application/problem+json")


LISTED: Final = re.compile(r"/api/admin/users\?.*\blimit=50\b")
FROM_HERE: Final = re.compile("The server can.t be asked now")


def test_a_list_that_could_not_be_read_comes_by_itself_once_the_store_is_back(
    unheld: Page, served: Served
) -> None:
    enrol(served, 60)
    unheld.route(LISTED, out)
    go(unheld, "People")
    alert = unheld.get_by_text(re.compile("^We could not load the people"))
    expect(alert).to_be_visible()
    expect(unheld.get_by_text("Loading the people…")).to_have_count(0)
    unheld.unroute(LISTED)
    expect(unheld.get_by_text(re.compile("^50 of ..? people$"))).to_be_visible()
    expect(alert).to_have_count(0)

    # A further page comes by itself as well, and what stood there before it stays.
    unheld.route(LISTED, out)
    unheld.get_by_role("button", name="Show more", exact=True).click()
    expect(alert).to_be_visible()
    unheld.unroute(LISTED)
    expect(unheld.get_by_text(re.compile(r"^(\d+) of \1 people$"))).to_be_visible()
    expect(alert).to_have_count(0)


def test_one_answer_that_failed_does_not_leave_the_search_on_this_device(unheld: Page) -> None:
    go(unheld, "Assign")
    # Choosing a course asks, too: that answer is not the one to fail.
    with unheld.expect_response(re.compile(r"/api/admin/users\?.*withoutCourse=")):
        choose_course(unheld, "Reading the tide")
    without = unheld.get_by_role("checkbox", name="Only those who do not have the course yet")
    expect(without).to_be_checked()

    unheld.route(LISTED, out, times=1)
    unheld.get_by_label("Search by name or e-mail").fill("a")
    expect(unheld.get_by_text(FROM_HERE)).to_be_visible()
    expect(without).to_be_disabled()
    expect(without).to_be_enabled()
    expect(without).to_be_checked()
    expect(unheld.get_by_text(FROM_HERE)).to_have_count(0)


def test_a_person_is_added_changed_closed_and_opened_again(ben: Page) -> None:
    go(ben, "People")
    ben.get_by_role("button", name="Add a person", exact=True).click()
    dialog = ben.get_by_role("dialog")
    dialog.get_by_label("E-mail").fill("kim@x.example")
    dialog.get_by_label("Name").fill("Kim")
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(ben.get_by_text("Kim was added.")).to_be_visible()

    ben.get_by_role("button", name="Change Kim", exact=True).click()
    dialog.get_by_label("Name").fill("Kim Possible")
    dialog.get_by_role("button", name="Save", exact=True).click()
    expect(ben.get_by_text("Kim Possible was changed.")).to_be_visible()

    ben.get_by_role("button", name="Change Kim Possible", exact=True).click()
    dialog.get_by_role("button", name="Close this person", exact=True).click()
    expect(ben.get_by_role("button", name="Change Kim Possible", exact=True)).to_have_count(0)
    ben.get_by_label("Account").select_option("closed")
    ben.get_by_role("button", name="Change Kim Possible", exact=True).click()
    dialog.get_by_role("button", name="Open this person again", exact=True).click()
    expect(dialog).to_have_count(0)
    ben.get_by_label("Account").select_option("open")
    expect(ben.get_by_role("button", name="Change Kim Possible", exact=True)).to_be_visible()


def test_a_person_typed_while_the_server_is_gone_is_not_lost(ben: Page, served: Served) -> None:
    go(ben, "People")
    ben.get_by_role("button", name="Add a person", exact=True).click()
    dialog = ben.get_by_role("dialog")
    dialog.get_by_label("E-mail").fill("lou@x.example")
    dialog.get_by_label("Name").fill("Lou")
    served.kill()
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(dialog.get_by_text("Nothing you typed is lost")).to_be_visible()
    served.start()
    expect(dialog.get_by_label("Name")).to_have_value("Lou")
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(ben.get_by_text("Lou was added.")).to_be_visible()


def test_an_answer_that_comes_late_closes_no_dialog_that_was_opened_since(ben: Page, served: Served) -> None:
    go(ben, "People")
    add = ben.get_by_role("button", name="Add a person", exact=True)
    add.click()
    dialog = ben.get_by_role("dialog")
    dialog.get_by_label("E-mail").fill("lou@x.example")
    dialog.get_by_label("Name").fill("Lou")
    with served.paused():
        dialog.get_by_role("button", name="Add", exact=True).click()
        ben.keyboard.press("Escape")
        add.click()
        dialog.get_by_label("Name").fill("Mo")
    expect(ben.get_by_text("Lou was added.")).to_be_visible()
    expect(dialog.get_by_label("Name")).to_have_value("Mo")
