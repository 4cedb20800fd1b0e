"""Real Prometheus and Alertmanager watch a portal that really breaks: one page, and one resolve."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx2
import pytest
import yaml

from tests.alarms.receiver import receiver
from tests.ports import quiet_port
from tests.served import served, until

ROOT = Path(__file__).parents[2]


def debian(name: str) -> str:
    """Debian calls Alertmanager by its package's name."""
    return shutil.which(name) or shutil.which(f"prometheus-{name}") or name


needed = pytest.mark.skipif(
    os.environ.get("CI") != "true"
    and not (shutil.which("prometheus") and shutil.which(debian("alertmanager"))),
    reason="prometheus and alertmanager are not here; Debian has them",
)


@pytest.fixture(scope="module")
def observe() -> ModuleType:
    spec = importlib.util.spec_from_file_location("observe", ROOT / "tools" / "observe.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def running(folder: Path, *command: str) -> Iterator[None]:
    with (folder / f"{Path(command[0]).name}.log").open("wb") as said:
        process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=said)
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def hurried(config: dict[str, Any]) -> dict[str, Any]:
    """The same, looking every second: the test has no quarter of a minute for each."""
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    return config


@needed
def test_one_outage_is_one_page_and_one_resolve(tmp_path: Path, observe: ModuleType) -> None:
    portal_settings = {"HOLDFAST_HEALTH_DWELL_S": "1", "HOLDFAST_PROBE_PERIOD_S": "1"}
    at, alerts_at = quiet_port(), quiet_port()
    with ExitStack() as stack:
        pages = stack.enter_context(receiver())
        portal = stack.enter_context(served(tmp_path / "portal", portal_settings))
        rules = observe.rules()
        rules["groups"][0]["interval"] = "1s"
        (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules))
        config = hurried(observe.prometheus())
        config["scrape_configs"][0]["static_configs"] = [{"targets": [portal.url.rpartition("/")[2]]}]
        config["alerting"]["alertmanagers"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{alerts_at}"]}]
        (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
        routes = observe.alertmanager(pages.url)
        routes["route"] |= {"group_wait": "2s", "group_interval": "2s"}
        (tmp_path / "alertmanager.yml").write_text(yaml.safe_dump(routes))
        stack.enter_context(
            running(
                tmp_path, debian("alertmanager"), "--config.file=alertmanager.yml",
                f"--web.listen-address=127.0.0.1:{alerts_at}", "--cluster.listen-address=",
                "--storage.path=am",
            )
        )  # fmt: skip
        stack.enter_context(
            running(
                tmp_path, "prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=tsdb",
                f"--web.listen-address=127.0.0.1:{at}",
            )
        )  # fmt: skip

        def firing() -> set[str]:
            try:
                said = httpx2.get(f"http://127.0.0.1:{at}/api/v1/alerts", timeout=5.0).json()
            except (httpx2.HTTPError, ValueError):
                return set()
            return {
                each["labels"]["alertname"] for each in said["data"]["alerts"] if each["state"] == "firing"
            }

        until(lambda: firing() == {observe.DEAD_MAN}, 120.0)
        with closing(sqlite3.connect(portal.data / "store.sqlite3", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            until(lambda: "HoldfastPartLost" in firing(), 120.0)
            until(lambda: pages.taken, 120.0)
        until(lambda: len(pages.taken) > 1, 120.0)
        assert [act for act, _ in pages.acts()] == ["trigger", "resolve"]
        assert len({key for _, key in pages.acts()}) == 1
        payload = pages.taken[0]["payload"]
        assert (payload["component"], payload["severity"]) == ("store", "critical")


@pytest.mark.skipif(
    os.environ.get("CI") != "true" and shutil.which("promtool") is None, reason="promtool is not here"
)
def test_the_rules_own_tests_notice_a_rule_that_does_not_fire(tmp_path: Path, observe: ModuleType) -> None:
    (tmp_path / "rules.test.yml").write_text(yaml.safe_dump(observe.rule_tests()))

    def complaints(change: dict[str, Any]) -> str:
        rules = observe.rules()
        for rule in rules["groups"][0]["rules"]:
            rule.update(change)
        (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules))
        command = ["promtool", "test", "rules", "rules.test.yml"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        return "" if done.returncode == 0 else done.stdout + done.stderr

    assert complaints({}) == ""
    for change in ({"expr": "vector(0) > 1"}, {"labels": {"severity": "none"}}):
        said = complaints(change)
        assert [rule.name for rule in observe.RULES if rule.name not in said] == []


def test_deploy_is_what_the_code_says(observe: ModuleType) -> None:
    assert observe.problems(observe.files()) == []
