"""What is to be told stands on disk until it was told: through deaths, torn lines and new receivers."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from holdfast.health.alarm_book import KEPT, NAME, AlarmBook


def note(book: AlarmBook, act: str, key: str) -> None:
    said = dict.fromkeys(("rule", "component", "org", "severity", "summary", "runbook", "at"), "x")
    book.add(act=act, key=key, **said)


def waiting(book: AlarmBook, receiver: str) -> list[tuple[str, str]]:
    """Everything a receiver is still to be told, told on the way."""
    found: list[tuple[str, str]] = []
    while (entry := book.next_for(receiver)) is not None:
        found.append((entry.act, entry.key))
        book.told(entry, receiver)
    return found


def test_what_was_noted_is_there_after_a_death_in_its_order(tmp_path: Path) -> None:
    book = AlarmBook(tmp_path, ["a", "b"])
    for act, key in (("trigger", "1"), ("trigger", "2"), ("resolve", "1")):
        note(book, act, key)
    # Nothing is closed: the process is simply gone.
    again = AlarmBook(tmp_path, ["a", "b"])
    assert set(again.open) == {"2"}
    assert again.waiting == 6
    for receiver in ("a", "b"):
        assert waiting(again, receiver) == [("trigger", "1"), ("trigger", "2"), ("resolve", "1")]
    assert again.waiting == 0


def test_what_was_told_is_not_told_again_and_each_receiver_has_its_own_place(tmp_path: Path) -> None:
    book = AlarmBook(tmp_path, ["a", "b"])
    note(book, "trigger", "1")
    entry = book.next_for("a")
    assert entry is not None
    book.told(entry, "a")
    again = AlarmBook(tmp_path, ["a", "b"])
    assert again.next_for("a") is None
    assert waiting(again, "b") == [("trigger", "1")]
    last = AlarmBook(tmp_path, ["a", "b"])
    assert last.waiting == 0
    assert set(last.open) == {"1"}, "its resolve is still to come"


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_last_line_costs_that_line_and_nothing_else(tmp_path: Path, cut: int) -> None:
    book = AlarmBook(tmp_path, ["a"])
    note(book, "trigger", "1")
    note(book, "trigger", "2")
    path = tmp_path / NAME
    path.write_bytes(path.read_bytes()[:-cut])
    again = AlarmBook(tmp_path, ["a"])
    note(again, "trigger", "3")
    last = AlarmBook(tmp_path, ["a"])
    # A cut of the line's end alone leaves it whole.
    assert [key for _, key in waiting(last, "a")] == (["1", "2", "3"] if cut == 1 else ["1", "3"])


def test_a_book_that_is_used_for_years_stays_small(tmp_path: Path) -> None:
    book = AlarmBook(tmp_path, ["a"])
    note(book, "trigger", "open for long")
    for number in range(KEPT):
        note(book, "trigger", str(number))
        note(book, "resolve", str(number))
        waiting(book, "a")
    assert len((tmp_path / NAME).read_bytes().splitlines()) <= KEPT + 10
    assert set(AlarmBook(tmp_path, ["a"]).open) == {"open for long"}


def test_a_full_disk_keeps_no_portal_from_starting_and_a_torn_line_spoils_no_later_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note(AlarmBook(tmp_path, ["a"]), "trigger", "1")
    with (tmp_path / NAME).open("ab") as file:
        file.write(b'{"entry":{"id":2,')

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(AlarmBook, "_rewrite", full)
        book = AlarmBook(tmp_path, ["a"])
    assert book.waiting == 1
    note(book, "trigger", "3")
    assert waiting(AlarmBook(tmp_path, ["a"]), "a") == [("trigger", "1"), ("trigger", "3")]


def test_a_line_that_a_full_disk_took_in_part_is_not_noted_and_costs_no_later_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = AlarmBook(tmp_path, ["a"])
    note(book, "trigger", "1")
    write = os.write
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda fd, data: write(fd, data[:20]))
        with pytest.raises(OSError, match="No space"):
            note(book, "trigger", "2")
    assert set(book.open) == {"1"}, "what is not on disk is not noted, so the next look notes it"
    note(book, "trigger", "2")
    note(book, "trigger", "3")
    again = AlarmBook(tmp_path, ["a"])
    assert waiting(again, "a") == [("trigger", "1"), ("trigger", "2"), ("trigger", "3")]


def test_a_line_that_failed_after_it_stood_on_disk_hides_no_later_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = AlarmBook(tmp_path, ["a"])

    def broken(_fd: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", broken)
        with pytest.raises(OSError, match="Input/output"):
            note(book, "trigger", "1")
    note(book, "trigger", "2")
    again = AlarmBook(tmp_path, ["a"])
    assert set(again.open) == {"1", "2"}
    assert waiting(again, "a") == [("trigger", "1"), ("trigger", "2")]


def test_on_a_disk_that_takes_nothing_nobody_is_told_the_same_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = AlarmBook(tmp_path, ["a"])
    note(book, "trigger", "1")
    entry = book.next_for("a")
    assert entry is not None

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(AlarmBook, "_append", full)
    with pytest.raises(OSError, match="No space"):
        book.told(entry, "a")
    assert book.next_for("a") is None
    again = AlarmBook(tmp_path, ["a"]).next_for("a")
    assert again is not None
    assert again.key == "1"


def test_where_nobody_is_to_be_told_nothing_waits(tmp_path: Path) -> None:
    book = AlarmBook(tmp_path, [])
    note(book, "trigger", "1")
    assert book.waiting == 0
    assert set(AlarmBook(tmp_path, []).open) == {"1"}


def test_a_receiver_who_is_new_hears_only_of_what_comes(tmp_path: Path) -> None:
    book = AlarmBook(tmp_path, ["a"])
    note(book, "trigger", "1")
    note(book, "resolve", "1")
    waiting(book, "a")
    note(book, "trigger", "2")
    again = AlarmBook(tmp_path, ["b", "a"])
    assert again.waiting == 1
    note(again, "resolve", "2")
    assert waiting(again, "b") == [("resolve", "2")]
    assert waiting(again, "a") == [("trigger", "2"), ("resolve", "2")]


def test_a_receiver_in_the_place_of_another_hears_what_that_one_was_not_told_and_no_more(
    tmp_path: Path,
) -> None:
    book = AlarmBook(tmp_path, ["misspelt", "b"])
    note(book, "trigger", "told")
    for receiver in ("misspelt", "b"):
        waiting(book, receiver)
    note(book, "trigger", "owed")
    assert waiting(book, "b") == [("trigger", "owed")]
    again = AlarmBook(tmp_path, ["mended", "b"])
    assert waiting(again, "b") == []
    assert waiting(again, "mended") == [("trigger", "owed")]
    last = AlarmBook(tmp_path, ["misspelt", "b", "c"])
    assert last.waiting == 0
    assert set(last.open) == {"told", "owed"}


def test_who_was_told_in_the_place_of_another_is_not_told_again_by_a_life_that_could_not_tidy_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note(AlarmBook(tmp_path, ["misspelt"]), "trigger", "1")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(AlarmBook, "_rewrite", full)
    assert waiting(AlarmBook(tmp_path, ["mended"]), "mended") == [("trigger", "1")]
    assert waiting(AlarmBook(tmp_path, ["mended"]), "mended") == []


def test_a_line_of_before_which_says_not_who_was_to_be_told_is_lost_to_nobody(tmp_path: Path) -> None:
    book = AlarmBook(tmp_path, ["a"])
    note(book, "trigger", "1")
    waiting(book, "a")
    path = tmp_path / NAME
    lines = [json.loads(line) for line in path.read_text().splitlines() if line]
    older = [{name: value for name, value in line.items() if name != "to"} for line in lines]
    assert older != lines
    path.write_text("".join(json.dumps(line) + "\n" for line in older))
    again = AlarmBook(tmp_path, ["a", "b"])
    assert waiting(again, "a") == []
    assert waiting(again, "b") == [("trigger", "1")]
