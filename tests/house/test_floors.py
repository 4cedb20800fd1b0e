"""The house stands: imports point down, nothing goes round in circles, engines are named in one place."""

import ast
import sys
from dataclasses import fields
from graphlib import CycleError, TopologicalSorter

import pytest

from holdfast.settings import Settings
from tests.house.source import PACKAGE, imports, modules, ours, place, tree

FLOORS = {
    "": 0,
    "core": 1,
    "settings": 2,
    "journal": 2,
    "store": 2,
    "feed": 2,
    "events": 3,
    "access": 3,
    "learning": 4,
    "health": 4,
    "web": 5,
    "wiring": 6,
    "drills": 7,
    "cli": 8,
    "__main__": 9,
}
"""Each package's floor; what is about a thing stands above it."""

SPINE = {"core", "journal", "store", "feed", "events", "health"}
ENGINES = {
    "holdfast.journal.file",
    "holdfast.journal.memory",
    "holdfast.journal.jetstream",
    "holdfast.store.sqlite",
    "holdfast.store.sqlite_reading",
    "holdfast.store.postgres",
    "holdfast.feed.hub",
    "holdfast.feed.relay",
}
PORTS = {
    "holdfast.journal.port": "Journal",
    "holdfast.store.port": "Store",
    "holdfast.feed.port": "Feed",
}
MOST_VERBS = 7
MOST_LINES = 400
DUSTBINS = {"util", "utils", "helper", "helpers", "common", "misc", "shared", "tools", "stuff"}
CODE = sorted(name for name in modules() if place(name) != "demo")


def test_every_module_stands_on_a_floor() -> None:
    assert {place(name) for name in CODE} <= set(FLOORS)


@pytest.mark.parametrize("name", CODE)
def test_imports_point_down_and_neighbours_leave_each_other_alone(name: str) -> None:
    here = place(name)
    wrong = [other for other in ours(name) if place(other) != here and FLOORS[place(other)] >= FLOORS[here]]
    assert wrong == [], f"{name} stands on floor {FLOORS[here]}"


def test_no_imports_go_round_in_circles_not_even_those_for_types() -> None:
    try:
        TopologicalSorter({name: ours(name) for name in CODE}).prepare()
    except CycleError as circle:
        pytest.fail(" -> ".join(circle.args[1]))


def test_engines_are_named_by_wiring_and_by_nobody_else() -> None:
    named = {name: ours(name) & ENGINES for name in CODE if ours(name) & ENGINES and name not in ENGINES}
    assert set(named) == {"holdfast.wiring"}


def test_the_spine_knows_nothing_of_a_school() -> None:
    for name in CODE:
        if place(name) in SPINE:
            assert not [other for other in ours(name) if place(other) in ("learning", "access", "web")], name


def test_the_ground_is_the_standard_library_and_nothing_else() -> None:
    for name in CODE:
        if place(name) == "core":
            others = {each.partition(".")[0] for each in imports(name)} - {"holdfast"}
            assert others <= sys.stdlib_module_names, name


def test_the_environment_is_read_in_settings_and_nowhere_else() -> None:
    readers = set()
    for name in CODE:
        for node in ast.walk(tree(name)):
            if isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv"):
                readers.add(name)
            # A command's option may name a variable: its --help says so.
            if isinstance(node, ast.keyword) and node.arg == "envvar" and place(name) != "cli":
                readers.add(name)
    assert readers == {"holdfast.settings"}


def test_no_file_is_longer_than_one_thing_needs() -> None:
    long = {
        str(path.relative_to(PACKAGE)): lines
        for path in PACKAGE.rglob("*.py")
        if "migrations" not in path.parts and (lines := len(path.read_text().splitlines())) >= MOST_LINES
    }
    assert long == {}


def test_no_module_is_a_dustbin() -> None:
    assert [name for name in modules() if DUSTBINS & set(name.split("."))] == []


@pytest.mark.parametrize("module, port", PORTS.items())
def test_a_port_has_at_most_seven_verbs_and_each_says_what_it_promises(module: str, port: str) -> None:
    (found,) = [node for node in tree(module).body if isinstance(node, ast.ClassDef) and node.name == port]
    verbs = [node for node in found.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert 0 < len(verbs) <= MOST_VERBS
    assert all(ast.get_docstring(node) for node in [found, *verbs])


@pytest.mark.parametrize("name", CODE)
def test_every_module_says_what_its_one_job_is(name: str) -> None:
    assert ast.get_docstring(tree(name))


def test_numbers_among_the_settings_say_their_unit() -> None:
    units = ("_s", "_ms", "_bytes", "_ids", "_burst", "_streams", "_proxies")
    for field in fields(Settings):
        if isinstance(field.default, int | float) and not isinstance(field.default, bool):
            assert field.name.endswith(units), field.name
