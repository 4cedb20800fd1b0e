from bench.figure import Figure, Scale, alternate, number


def figure(**more: object) -> Figure:
    return Figure(bench="b", name="n", unit="events/s", how="h", **{"ours": [1.0], **more})  # type: ignore[arg-type]


def test_a_figure_is_the_median_of_its_rounds() -> None:
    assert figure(ours=[9.0, 1.0, 4.0]).value == 4.0


def test_a_ratio_is_the_median_of_the_rounds_ratios_not_the_ratio_of_the_medians() -> None:
    # The second round was slow for both sides: within each round they still compare.
    found = figure(ours=[10.0, 2.0, 12.0], peer=[20.0, 10.0, 16.0])
    assert found.ratio == 0.5
    assert found.value / (found.peer_value or 0) == 0.625


def test_without_a_peer_there_is_no_ratio() -> None:
    assert figure().ratio is None
    assert figure().peer_value is None


def test_a_bar_on_the_ratio_is_met_from_that_ratio_on() -> None:
    assert figure(ours=[5.0], peer=[10.0], least_ratio=0.5).passed is True
    assert figure(ours=[4.9], peer=[10.0], least_ratio=0.5).passed is False


def test_a_bar_on_a_ratio_without_a_peer_is_missed_not_skipped() -> None:
    assert figure(least_ratio=0.5).passed is False


def test_a_bar_on_the_value_is_met_up_to_that_value() -> None:
    assert figure(ours=[90.0], most=90.0).passed is True
    assert figure(ours=[90.1], most=90.0).passed is False


def test_a_figure_without_a_bar_neither_passes_nor_fails() -> None:
    assert figure().passed is None
    assert figure().bar == ""


def test_a_bar_is_told_in_words_with_its_unit() -> None:
    assert figure(peer=[1.0], least_ratio=0.65).bar == "at least 0.65 of the peer"
    assert figure(most=5.0).bar == "at most 5 events/s"


def test_sides_take_turns_round_after_round() -> None:
    turns: list[str] = []

    def side(name: str, value: float) -> float:
        turns.append(name)
        return value

    found = alternate(2, lambda: side("ours", 1.0), lambda: side("peer", 2.0))
    assert turns == ["ours", "peer", "ours", "peer"]
    assert found == [[1.0, 1.0], [2.0, 2.0]]


def test_a_small_run_measures_once_and_uses_the_small_sizes() -> None:
    assert (Scale(quick=True).rounds, Scale(quick=True).size(9, 3)) == (1, 3)
    assert (Scale(quick=False).rounds, Scale(quick=False).size(9, 3)) == (3, 9)


def test_numbers_show_the_figures_that_count() -> None:
    assert [number(each) for each in (123456.7, 314.159, 3.14159, 0.51234, None)] == [
        "123,457",
        "314",
        "3.14",
        "0.512",
        "",
    ]
