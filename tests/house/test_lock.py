import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "requirements-bench.lock")
PYTHONS = ("3.11.2", "3.12.0", "3.13.0", "3.14.0")


@dataclass(frozen=True)
class Pin:
    """One locked package, for the machines its marker admits."""

    name: str
    version: Version
    marker: Marker | None
    hashes: tuple[str, ...]

    def holds_on(self, python: str) -> bool:
        if self.marker is None:
            return True
        return self.marker.evaluate(
            {
                "python_full_version": python,
                "python_version": python.rpartition(".")[0],
                "sys_platform": "linux",
            }
        )


def read_pins(lock: str) -> list[Pin]:
    text = (ROOT / lock).read_text()
    lines = [
        line for line in text.replace("\\\n", " ").splitlines() if line and not line.lstrip().startswith("#")
    ]
    pins = []
    for line in lines:
        stated, *hashes = re.split(r"\s+--hash=", line.strip())
        requirement = Requirement(stated)
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", stated
        pins.append(
            Pin(
                name=canonicalize_name(requirement.name),
                version=Version(specifier.version),
                marker=requirement.marker,
                hashes=tuple(hashes),
            )
        )
    return pins


def stated_requirements() -> dict[str, list[Requirement]]:
    """What pyproject.toml asks for, by the lock that has to hold it."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    stated = [
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *(line for extra in project["project"]["optional-dependencies"].values() for line in extra),
        *(line for name, group in groups.items() if name != "bench" for line in group),
    ]
    return {
        "requirements.lock": [Requirement(line) for line in stated],
        "requirements-bench.lock": [Requirement(line) for line in groups["bench"]],
    }


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("lock", LOCKS)
def test_every_stated_requirement_is_met_by_one_pin_on_every_python(lock: str, python: str) -> None:
    pins = [pin for pin in read_pins(lock) if pin.holds_on(python)]
    for requirement in stated_requirements()[lock]:
        versions = [pin.version for pin in pins if pin.name == canonicalize_name(requirement.name)]
        assert len(versions) == 1, f"{requirement.name} is pinned {len(versions)} times for Python {python}"
        assert versions[0] in requirement.specifier, (
            f"{requirement} is not met by {versions[0]}; run make lock"
        )


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_carries_hashes(lock: str) -> None:
    pins = read_pins(lock)
    assert pins
    for pin in pins:
        assert pin.hashes, f"{pin.name} has no hash"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in pin.hashes), pin.name


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_no_address_and_no_path_of_a_machine(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert not re.search(r"(?m)(^|[\s=@\"'])(~?/|[A-Za-z]:\\)", text)
    assert not re.search(r"(?m)^\s*(-i|-f|--(extra-)?index-url|--find-links)\b", text)


def test_both_locks_fit_into_one_environment() -> None:
    for python in PYTHONS:
        main, bench = (
            {pin.name: pin.version for pin in read_pins(lock) if pin.holds_on(python)} for lock in LOCKS
        )
        assert {name: main[name] for name in main.keys() & bench.keys()} == {
            name: bench[name] for name in main.keys() & bench.keys()
        }


def test_uv_lock_which_names_a_registry_is_not_kept() -> None:
    assert "/uv.lock" in (ROOT / ".gitignore").read_text().splitlines()


def test_every_direct_dependency_has_its_reason_written_down() -> None:
    reasons = (ROOT / "docs/adr/0006-dependencies.md").read_text()
    for requirements in stated_requirements().values():
        for requirement in requirements:
            assert f"`{requirement.name}`" in reasons, f"{requirement.name} has no reason in the ADR"
