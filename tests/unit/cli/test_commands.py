"""The commands as an operator types them: processes of their own, with and without a running portal."""

from __future__ import annotations

import json
import os
import threading
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from holdfast.cli.main import main
from tests.served import Served, completed, lesson_of, recorded, served, until
from tests.typed import holdfast


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("running")) as running:
        yield running


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A seeded folder nobody serves."""
    assert holdfast("seed", "demo", "--data", str(tmp_path / "data")).status == 0
    return tmp_path / "data"


def a_course(folder: Path) -> Path:
    folder.mkdir()
    (folder / "course.yaml").write_text("title: Knots\nlessons:\n  - 01-bowline.md\n")
    (folder / "01-bowline.md").write_text("# Bowline\n\nThe rabbit comes out of its hole. [away](gone.md)\n")
    return folder


# Seeding


def test_seeding_twice_makes_everything_once(data: Path) -> None:
    again = holdfast("seed", "demo", "--data", str(data), "--json")
    assert (again.status, again.json["people"]) == (0, 0)
    report = holdfast("verify", "--data", str(data), "--json").json
    assert report["good"] is True
    assert {row["orgId"]: row["applied"] for row in report["ledger"]} == {"highland": 1, "tidewater": 1}


def test_a_running_portal_is_seeded_already_and_left_alone(portal: Served) -> None:
    said = holdfast("seed", "demo", "--data", str(portal.data), "--json")
    assert (said.status, said.json["people"]) == (0, 0)


def test_demo_data_is_refused_outside_demo_mode(tmp_path: Path) -> None:
    environ = {"HOLDFAST_ENV": "production", "HOLDFAST_SECRET_KEY": "k" * 40}
    said = holdfast("seed", "demo", "--data", str(tmp_path / "d"), "--json", environ=environ)
    assert (said.status, said.json["error"]["code"]) == (1, "demo_only")
    assert not (tmp_path / "d").exists()


# Serving


@pytest.mark.parametrize(
    "environ, missing",
    [
        ({"HOLDFAST_ENV": "production"}, "HOLDFAST_SECRET_KEY"),
        ({"DEV_FALLBACK": "off"}, "HOLDFAST_SECRET_KEY"),
        ({"HOLDFAST_BODY_TIMEOUT_S": "soon"}, "HOLDFAST_BODY_TIMEOUT_S"),
    ],
)
def test_serving_without_what_is_needed_names_the_setting(
    tmp_path: Path, environ: dict[str, str], missing: str
) -> None:
    said = holdfast("serve", "--data", str(tmp_path), "--port", "0", environ=environ)
    assert said.status == 1
    assert missing in said.err


def test_a_second_portal_on_the_same_folder_is_refused_and_the_first_goes_on(portal: Served) -> None:
    said = holdfast("serve", "--data", str(portal.data), "--port", "0", "--json")
    assert (said.status, said.json["error"]["code"]) == (1, "store_in_use")
    with portal.client() as client:
        assert client.get("/livez").status_code == 200


def test_a_port_that_is_taken_is_named(portal: Served, tmp_path: Path) -> None:
    port = portal.url.rpartition(":")[2]
    said = holdfast("serve", "--data", str(tmp_path / "other"), "--port", port)
    assert said.status == 1
    assert port in said.err
    assert "--port" in said.err


# Proving


def test_verify_proves_a_running_portals_journal_and_ledger(portal: Served) -> None:
    said = holdfast("verify", "--data", str(portal.data))
    assert said.status == 0
    assert "good" in said.out
    assert "tidewater" in said.out


def test_verify_finds_a_flipped_byte_and_fails(data: Path) -> None:
    journal = data / "logs" / "offline-sync.jsonl"
    text = bytearray(journal.read_bytes())
    at = text.index(b'"courseId"')
    text[at + 1] ^= 0x01
    journal.write_bytes(text)
    said = holdfast("verify", "--data", str(data), "--json")
    assert said.status == 1
    assert said.json["good"] is False
    assert said.json["findings"]


def test_at_an_address_the_ledger_alone_is_proven_and_it_says_so(portal: Served) -> None:
    said = holdfast("verify", "--url", portal.url)
    assert said.status == 0
    assert "Only the ledger was looked at, and it balances." in said.out
    assert "segments" not in said.out
    assert holdfast("verify", "--url", portal.url, "--json").json["ledgerOnly"] is True


# Tokens


def test_a_token_opens_the_portal_whose_folder_made_it(portal: Served) -> None:
    token = holdfast("token", "--org", "tidewater", "--data", str(portal.data)).out.strip()
    with portal.client() as client:
        said = client.get("/api/auth/session", headers={"Authorization": f"Bearer {token}"}).json()
    assert said["principal"]["roles"] == ["service"]
    assert said["principal"]["orgId"] == "tidewater"
    listed = holdfast("deadletters", "list", "--url", portal.url, "--token", token, "--json")
    assert (listed.status, listed.json["items"]) == (0, [])


def test_a_token_is_listed_and_revoked_by_its_id_or_by_itself(data: Path) -> None:
    def typed(*words: str) -> Any:  # noqa: ANN401
        done = CliRunner().invoke(main, ["token", *words, "--data", str(data), "--json"])
        return json.loads(done.stdout) if done.exit_code == 0 else done.exit_code

    service, operator = typed("--org", "tidewater"), typed("--role", "operator")
    assert typed("revoke", service["id"]) == {"id": service["id"], "listed": True}
    (row,) = [one for one in typed("list", "--org", "tidewater")["items"] if one["id"] == service["id"]]
    assert row["revokedAt"]
    assert typed("revoke", operator["token"]) == {"id": operator["id"], "listed": False}
    assert typed("revoke", "no.such.token") == 1
    misplaced = CliRunner().invoke(main, ["token", "--data", str(data), "list"])
    assert misplaced.exit_code == 2


def test_a_service_token_needs_an_org_that_is_there(data: Path) -> None:
    missing = holdfast("token", "--data", str(data), "--json")
    assert (missing.status, missing.json["error"]["code"]) == (1, "org_required")
    unknown = holdfast("token", "--org", "nowhere", "--data", str(data))
    assert unknown.status == 1
    assert "nowhere" in unknown.err


# Courses


@pytest.mark.parametrize("packed", [False, True])
def test_a_course_is_imported_with_or_without_a_running_portal(
    portal: Served,
    data: Path,
    tmp_path: Path,
    packed: bool,  # noqa: FBT001
) -> None:
    course = a_course(tmp_path / "knots")
    if packed:
        with zipfile.ZipFile(tmp_path / "knots.zip", "w") as archive:
            for path in course.iterdir():
                archive.write(path, path.name)
        course = tmp_path / "knots.zip"
    for folder in (portal.data, data):
        said = holdfast("import-course", str(course), "--org", "highland", "--data", str(folder), "--json")
        assert (said.status, said.json["courseId"], said.json["lessons"]) == (0, "knots", 1)
        assert [each["target"] for each in said.json["dangling"]] == ["gone.md"]


@pytest.mark.parametrize("year", [1975, 2150])
def test_a_course_whose_files_have_a_time_that_no_zip_can_hold_is_imported_all_the_same(
    data: Path, tmp_path: Path, year: int
) -> None:
    course = a_course(tmp_path / "knots")
    at_s = datetime(year, 1, 1, tzinfo=UTC).timestamp()
    for path in course.iterdir():
        os.utime(path, (at_s, at_s))
    said = holdfast("import-course", str(course), "--org", "highland", "--data", str(data), "--json")
    assert (said.status, said.json["lessons"]) == (0, 1)


def test_a_course_that_is_none_is_refused_with_its_reason(data: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    said = holdfast(
        "import-course", str(tmp_path / "empty"), "--org", "highland", "--data", str(data), "--json"
    )
    assert (said.status, said.json["error"]["code"]) == (1, "import_refused")


# Dead letters


def test_dead_letters_are_listed_shown_redriven_and_discarded(portal: Served) -> None:
    with portal.client("ada") as ada, portal.client("olu") as olu:
        course, _ = lesson_of(ada)
        ada.post("/api/client/progress/batch", json={"events": [completed(course, "no-such-lesson")]})
        until(lambda: olu.get("/api/admin/offline/deadletters").json()["items"])
    where = ("--data", str(portal.data), "--json")
    (letter,) = holdfast("deadletters", "list", "--status", "parked", *where).json["items"]
    assert letter["code"] == "course_unknown"
    shown = holdfast("deadletters", "show", letter["id"], *where)
    assert shown.json["record"]["body"]["lessonId"] == "no-such-lesson"
    redriven = holdfast("deadletters", "redrive", letter["id"], *where)
    assert (redriven.status, redriven.json["redrives"]) == (1, 1), "nothing was mended, so it failed again"
    discarded = holdfast("deadletters", "discard", letter["id"], "--reason", "never was a lesson", *where)
    assert (discarded.status, discarded.json["status"]) == (0, "discarded")
    gone = holdfast("deadletters", "show", "nothing", *where)
    assert (gone.status, gone.json["error"]["code"]) == (1, "not_found")
    table = holdfast("deadletters", "list", "--org", "tidewater", "--data", str(portal.data))
    assert "course_unknown" in table.out


# A portal that is not there


def test_an_address_where_nobody_answers_is_told_with_a_hint() -> None:
    said = holdfast("deadletters", "list", "--url", "http://127.0.0.1:9", "--token", "t", "--json")
    assert (said.status, said.json["error"]["code"]) == (1, "store_unavailable")
    assert "running" in said.json["error"]["hint"]


def test_a_killed_portals_note_misleads_nobody(tmp_path: Path) -> None:
    with served(tmp_path) as killed:
        killed.kill()
        assert (killed.data / "run" / "portal.json").exists()
        said = holdfast("verify", "--data", str(killed.data), "--json")
        assert (said.status, said.json["good"]) == (0, True)


# The dataset


SITES = "id_site,code_module,code_presentation,activity_type,week_from,week_to\n"
STUDENTS = "code_module,code_presentation,id_student,gender,final_result\n"
CLICKS = "code_module,code_presentation,id_student,id_site,date,sum_click\n"


def a_dataset(folder: Path) -> Path:
    folder.mkdir()
    (folder / "vle.csv").write_text(SITES + "546943,AAA,2013J,resource,,\n546712,AAA,2013J,oucontent,2,3\n")
    (folder / "studentInfo.csv").write_text(STUDENTS + "AAA,2013J,11391,M,Pass\nAAA,2013J,28400,F,Pass\n")
    rows = "AAA,2013J,11391,546943,-10,3\nAAA,2013J,28400,546712,5,2\nAAA,2013J,28400,546712,5,1\n"
    (folder / "studentVle.csv").write_text(CLICKS + rows)
    return folder


def test_the_dataset_is_loaded_once_however_often_it_is_loaded(portal: Served, tmp_path: Path) -> None:
    dataset = str(a_dataset(tmp_path / "oulad"))
    first = holdfast("load-oulad", dataset, "--data", str(portal.data), "--json")
    assert first.status == 0, first.out
    assert (first.json["learners"], first.json["lessons"], first.json["sent"]) == (2, 2, 6)
    assert first.json["receipts"] == {"accepted": 6}
    again = holdfast("load-oulad", dataset, "--url", portal.url, "--json")
    assert again.json["receipts"] == {"duplicate": 6}
    ledger = again.json["ledger"]
    assert (ledger["accepted"], ledger["applied"], ledger["pending"]) == (6, 6, 0)


def test_the_dataset_loads_without_a_running_portal_too(data: Path, tmp_path: Path) -> None:
    said = holdfast("load-oulad", str(a_dataset(tmp_path / "oulad")), "--data", str(data), "--json")
    assert said.status == 0, said.out
    assert said.json["ledger"]["applied"] == 6


@pytest.mark.parametrize(
    "name, text",
    [
        ("studentVle.csv", None),
        ("studentVle.csv", "a,b\n1,2\n"),
        ("vle.csv", SITES + "x,AAA,2013J,resource,,\n"),
    ],
)
def test_a_dataset_with_a_fault_is_refused_by_the_files_name(
    portal: Served, tmp_path: Path, name: str, text: str | None
) -> None:
    folder = a_dataset(tmp_path / "oulad")
    (folder / name).unlink()
    if text is not None:
        (folder / name).write_text(text)
    said = holdfast("load-oulad", str(folder), "--data", str(portal.data), "--json")
    assert said.status == 1
    assert name in said.json["error"]["message"]


@pytest.mark.parametrize(
    "row, words",
    [
        ("AAA,2013J,99999,546943,5,1", "student 99999 is not in studentInfo.csv"),
        ("AAA,2013J,11391,546943,999999999,1", "date is '999999999'"),
        ("AAA,2013J,11391,546943,-99999,1", "date is '-99999'"),
    ],
)
def test_a_click_that_fits_no_student_or_no_calendar_is_named_by_its_line(
    data: Path, tmp_path: Path, row: str, words: str
) -> None:
    folder = a_dataset(tmp_path / "oulad")
    with (folder / "studentVle.csv").open("a") as file:
        file.write(row + "\n")
    said = holdfast("load-oulad", str(folder), "--data", str(data), "--json")
    assert said.status == 1
    error = said.json["error"]
    assert error["message"].startswith("studentVle.csv, line 5: ")
    assert words in error["message"]
    assert error["hint"]


def test_help_lists_every_command() -> None:
    said = holdfast("--help")
    for name in ("serve", "seed", "import-course", "load-oulad", "verify", "token", "deadletters"):
        assert name in said.out


def test_a_data_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    said = holdfast("seed", "demo", "--data", str(tmp_path / "file" / "data"))
    assert said.status == 1
    assert "can't be made" in said.err


# Replaying

EDGES = ("--from", "2020-01-01T00:00:00+01:00", "--to", "2100-01-01T00:00:00Z")


def test_a_replay_needs_its_window_its_org_and_a_reason(portal: Served) -> None:
    said = holdfast("replay", "--data", str(portal.data), "--json")
    assert (said.status, said.json["error"]["code"]) == (1, "invalid")
    assert "--from, --to, --reason, --org" in said.json["error"]["message"]


@pytest.mark.parametrize("running", ["yes", ""])
def test_a_replay_is_shown_to_people_with_what_it_would_change(
    portal: Served, data: Path, running: str
) -> None:
    where = ("--data", str(portal.data if running else data))
    said = holdfast("replay", "--org", "tidewater", *EDGES, "--dry-run", "--reason", "a trial", *where)
    assert said.status == 0, said.err
    assert "Nothing is changed yet" in said.out
    assert "events in the window" in said.out
    assert "dry run" in said.err, "the bar"


def test_a_replay_is_cancelled_by_its_id_and_its_end_is_in_the_exit_status(portal: Served) -> None:
    where = ("--data", str(portal.data), "--json")
    slow = ("--rate", "0.001", "--id", "slow-one", "--no-wait")
    assert holdfast("replay", "--org", "tidewater", *EDGES, *slow, "--reason", "a trial", *where).status == 0
    ended = holdfast("replay", "--cancel", "slow-one", *where)
    assert (ended.status, ended.json["status"]) == (0, "cancelled")
    assert holdfast("replay", "--show", "slow-one", *where).status == 1


def test_a_service_replays_its_own_org_from_the_command_line(portal: Served) -> None:
    token = holdfast("token", "--org", "tidewater", "--data", str(portal.data)).out.strip()
    asked = ("--url", portal.url, "--token", token, *EDGES, "--dry-run", "--reason", "a trial", "--json")
    assert holdfast("replay", "--org", "tidewater", *asked).json["status"] == "done"
    said = holdfast("replay", "--org", "highland", *asked)
    assert (said.status, said.json["error"]["code"]) == (1, "org_forbidden")


def test_a_letter_is_mended_with_a_corrected_body_from_the_command_line(
    portal: Served, tmp_path: Path
) -> None:
    where = ("--data", str(portal.data), "--json")
    with portal.client("ada") as ada:
        course, lesson = lesson_of(ada)
        event = completed("no-such-course", lesson)
        ada.post("/api/client/progress/batch", json={"events": [event]})
    found = until(lambda: holdfast("deadletters", "list", "--user", "demo-ada", *where).json["items"])
    letter = next(one for one in found if one["eventId"] == event["id"])
    (tmp_path / "body.json").write_text(json.dumps({"courseId": course, "lessonId": lesson}))
    mended = ("deadletters", "redrive", letter["id"], "--body", str(tmp_path / "body.json"), *where)
    assert holdfast(*mended).status == 1, "without a reason"
    alone = holdfast("deadletters", "redrive", letter["id"], "--reason", "a trial", *where)
    assert alone.status == 1, "without a body"
    assert holdfast("deadletters", "show", letter["id"], *where).json["redrives"] == 0
    assert holdfast(*mended, "--reason", "the course's id was misspelt").json["status"] == "redriven"
    late = holdfast("deadletters", "list", "--from", "2099-01-01T00:00:00Z", *where)
    assert late.json["items"] == []


# Proving, beside a portal at work


def test_a_proof_beside_a_portal_that_takes_work_in_is_good_every_time(
    portal: Served, tmp_path: Path
) -> None:
    stop = threading.Event()
    sent = [0]

    def work() -> None:
        with portal.service() as service:
            while not stop.is_set():
                events = [recorded(userId="demo-ada") for _ in range(50)]
                answer = service.post("/api/analytics/events/batch", json={"events": events})
                sent[0] += 50 * (answer.status_code == 202)

    at_work = threading.Thread(target=work)
    at_work.start()
    try:
        until(lambda: sent[0] > 0)
        for number in range(3):
            before = sent[0]
            kept = tmp_path / f"report-{number}.json"
            said = holdfast("verify", "--data", str(portal.data), "--report", str(kept), "--json")
            assert said.json["good"], said.out
            assert json.loads(kept.read_text()) == said.json
            until(lambda: sent[0] > before)  # noqa: B023 - asked at once
    finally:
        stop.set()
        at_work.join()
