import json
from pathlib import Path

import pytest

from bench.__main__ import BENCHES, chosen, main
from bench.figure import Figure
from bench.machine import Machine
from bench.results import Result, line, missing, read, write, write_page


def result(name: str, *figures: Figure, quick: bool = False) -> Result:
    at = Machine(
        cores=2,
        cpu="a processor",
        memory_mib=1024,
        kernel="6.1",
        python="3.11",
        sqlite="3.40",
        file_system="ext4",
        load_average=0.25,
        measured_at="2026-01-01T00:00:00Z",
        commit="abc",
    )
    return Result(bench=name, quick=quick, took_s=1.0, machine=at, figures=list(figures))


MET = Figure(
    bench="journal", name="8 at once", unit="events/s", how="Appended.", ours=[80.0, 70.0, 90.0],
    peer_is="Raw writes.", peer=[100.0, 100.0, 100.0], least_ratio=0.65, facts={"groups": 12},
)  # fmt: skip
MISSED = Figure(bench="memory", name="idle", unit="MB", how="Waited.", ours=[95.0], most=90.0)


def test_what_is_written_is_read_back_with_its_machine(tmp_path: Path) -> None:
    write(tmp_path, result("journal", MET))
    assert read(tmp_path) == [result("journal", MET)]


def test_a_bench_replaces_its_own_result_and_leaves_the_others(tmp_path: Path) -> None:
    write(tmp_path, result("journal", MET))
    write(tmp_path, result("memory", MISSED))
    write(tmp_path, result("memory"))
    assert [(each.bench, len(each.figures)) for each in read(tmp_path)] == [("journal", 1), ("memory", 0)]


def test_the_file_holds_every_round_and_the_medians(tmp_path: Path) -> None:
    write(tmp_path, result("journal", MET))
    shown = json.loads((tmp_path / "journal.json").read_text())["figures"][0]
    assert shown["ours"] == [80.0, 70.0, 90.0]
    assert shown["median"] == {"ours": 80.0, "peer": 100.0, "ratio": 0.8}
    assert shown["passed"] is True


def test_the_page_says_of_each_figure_how_it_was_measured_and_on_what(tmp_path: Path) -> None:
    write_page(tmp_path, [result("journal", MET)], ["ratios.svg"])
    page = (tmp_path / "README.md").read_text()
    assert "| 8 at once | 80 events/s | 100 events/s | 0.8 | at least 0.65 of the peer | met |" in page
    for words in ("Appended.", "Raw writes.", "groups 12", "a processor", "ext4", "![ratios](ratios.svg)"):
        assert words in page, words
    assert "Every bar was met." in page


def test_a_missed_bar_stands_at_the_top_of_the_page_in_plain_words(tmp_path: Path) -> None:
    write_page(tmp_path, [result("journal", MET), result("memory", MISSED)], [])
    page = (tmp_path / "README.md").read_text()
    told = "memory, idle: 95 MB; the bar is at most 90 MB"
    assert told == missing(MISSED)
    assert page.index(told) < page.index("## journal")
    assert "Every bar was met." not in page


def test_the_page_says_which_results_are_of_small_runs(tmp_path: Path) -> None:
    write_page(tmp_path, [result("journal", MET), result("memory", quick=True)], [])
    assert "**Small runs, which say little:** memory." in (tmp_path / "README.md").read_text()


def test_a_line_for_the_terminal_tells_value_peer_and_bar() -> None:
    assert line(MET) == "8 at once: 80 events/s, peer 100, ratio 0.8 (bar at least 0.65 of the peer: met)"
    assert line(MISSED) == "idle: 95 MB (bar at most 90 MB: MISSED)"


def test_without_names_all_benches_run_but_the_long_one() -> None:
    assert chosen([], soak=False) == [name for name in BENCHES if name != "soak"]
    assert chosen([], soak=True) == list(BENCHES)
    assert chosen(["growth", "journal"], soak=False) == ["journal", "growth"]
    assert chosen(["journal"], soak=True) == ["journal", "soak"]
    assert chosen(["soak"], soak=False) == ["soak"]


@pytest.mark.parametrize("name", BENCHES)
def test_every_bench_that_is_listed_is_there(name: str) -> None:
    assert callable(BENCHES[name].find())


def test_a_bench_that_does_not_exist_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["jornal"])
    assert stopped.value.code == 2
    assert "no bench 'jornal'" in capsys.readouterr().err


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, *figures: Figure) -> int:
    monkeypatch.setattr("bench.__main__.RESULTS", folder)
    monkeypatch.setattr("bench.__main__._measured", lambda name, _: result(name, *figures))
    return main(["journal"])


def test_a_missed_bar_makes_the_command_fail(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run(monkeypatch, tmp_path, MET) == 0
    assert run(monkeypatch, tmp_path, MET, MISSED) == 1


def test_a_bench_that_breaks_off_fails_and_keeps_the_last_result(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert run(monkeypatch, tmp_path, MET) == 0

    def broken(*_: object) -> Result:
        raise RuntimeError("wrk is missing")

    monkeypatch.setattr("bench.__main__._measured", broken)
    assert main(["journal"]) == 1
    assert read(tmp_path) == [result("journal", MET)]
