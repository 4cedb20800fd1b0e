import pytest

from tests.chromium import Gate, find_chromium, gate


@pytest.mark.parametrize("environ", [{}, {"CI": "true"}, {"HOLDFAST_REQUIRE_BROWSER": "1"}])
def test_browser_tests_run_where_chromium_is(environ: dict[str, str]) -> None:
    assert gate("/usr/bin/chromium", environ) is Gate.RUN


@pytest.mark.parametrize("environ", [{}, {"CI": "false"}, {"HOLDFAST_REQUIRE_BROWSER": "0"}])
def test_a_missing_browser_is_a_skip_where_nobody_promised_one(environ: dict[str, str]) -> None:
    assert gate(None, environ) is Gate.SKIP


@pytest.mark.parametrize(
    "environ",
    [{"CI": "true"}, {"HOLDFAST_REQUIRE_BROWSER": "1"}, {"CI": "true", "HOLDFAST_REQUIRE_BROWSER": "0"}],
)
def test_a_missing_browser_is_a_failure_in_ci_and_where_it_was_installed(environ: dict[str, str]) -> None:
    assert gate(None, environ) is Gate.FAIL


def test_a_named_browser_that_is_not_there_counts_as_missing() -> None:
    assert find_chromium({"HOLDFAST_CHROMIUM": "no-such-browser"}) is None
