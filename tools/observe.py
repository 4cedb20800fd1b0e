"""Writes what watches a portal from outside, from the registry of metrics and the list of rules.

python tools/observe.py          writes deploy/
python tools/observe.py --check  says what is not as it should be; asks promtool and amtool; fails then
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml
from grafana_foundation_sdk.builders.dashboard import Dashboard, QueryVariable, Row
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.timeseries import Panel
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from holdfast.health.metrics import Definition
from holdfast.health.rules import CAUSED_BY, DEAD_MAN, RULES, Rule
from holdfast.settings import Settings
from holdfast.web.measures import definitions
from holdfast.wiring import opened

ROOT: Final = Path(__file__).parents[1]
DEPLOY: Final = ROOT / "deploy"
NOTE: Final = "# Written by tools/observe.py from the code: change that, then run it.\n"
STEP_S: Final = 15


async def every_metric() -> list[Definition]:
    """The registry."""
    with tempfile.TemporaryDirectory() as folder:
        async with opened(Settings(data_dir=Path(folder))) as portal:
            return list(definitions(portal))


def shown(each: Definition) -> str:
    """A metric's name as Prometheus shows it."""
    return f"{each.name}_total" if each.counter else each.name


# Grafana


def dashboard(metrics: Sequence[Definition]) -> str:
    """A panel for each metric, grouped by the word after `holdfast_`."""
    board = (
        Dashboard("Holdfast")
        .uid("holdfast")
        .tags(["holdfast"])
        .refresh("15s")
        .time("now-1h", "now")
        .with_variable(QueryVariable("job").query("label_values(up, job)").label("Job"))
    )
    groups: dict[str, list[Definition]] = {}
    for each in metrics:
        groups.setdefault(each.name.split("_")[1], []).append(each)
    for name, members in sorted(groups.items()):
        board = board.with_row(Row(name.capitalize()))
        for each in members:
            series = f'{shown(each)}{{job="$job"}}'
            query = f"rate({series}[5m])" if each.counter else series
            legend = " ".join(f"{{{{{label}}}}}" for label in each.labels) or each.name
            board = board.with_panel(
                Panel()
                .title(each.name.removeprefix("holdfast_").replace("_", " "))
                .description(each.help)
                .unit(unit_of(each))
                .with_target(Dataquery().expr(query).legend_format(legend))
            )
    return JSONEncoder(sort_keys=True, indent=1).encode(board.build()) + "\n"


def unit_of(each: Definition) -> str:
    """Grafana's name for the unit that a metric's name ends in."""
    for ending, unit in (("_ms", "ms"), ("_s", "s"), ("_bytes", "bytes")):
        if each.name.endswith(ending):
            return unit
    return "short"


# Prometheus


def labels_of(rule: Rule) -> dict[str, str]:
    """The labels that the rule adds to its samples'."""
    return {"severity": rule.severity, **({"component": rule.component} if rule.component else {})}


def rules() -> dict[str, Any]:
    """The alerting rules."""
    alerts = [
        {
            "alert": rule.name,
            "expr": rule.promql,
            "for": f"{rule.for_s}s",
            "keep_firing_for": "30s",
            "labels": labels_of(rule),
            "annotations": {"summary": rule.summary, "runbook": rule.runbook},
        }
        for rule in RULES
    ]
    dead_man = {
        "alert": DEAD_MAN,
        "expr": "vector(1)",
        "labels": {"severity": "heartbeat"},
        "annotations": {"summary": "Alarms can be raised", "runbook": "docs/runbooks/index.md"},
    }
    return {"groups": [{"name": "holdfast", "interval": f"{STEP_S}s", "rules": [*alerts, dead_man]}]}


def rule_tests() -> dict[str, Any]:
    """For each rule: it fires when it should, not before its time, and not when all is well."""
    return {
        "rule_files": ["rules.yml"],
        "evaluation_interval": f"{STEP_S}s",
        "tests": [test for rule in RULES for test in tests_of(rule)],
    }


def tests_of(rule: Rule) -> list[dict[str, Any]]:
    """A test that it fires, and, where it has a threshold, one that it does not at the threshold."""
    labels = labels_of(rule)
    annotations = {"summary": rule.summary, "runbook": rule.runbook}
    series = list(rule.fires)
    own: dict[str, str] = {}
    late = f"{rule.for_s + 120}s" if rule.limit is not None else "50m"
    quiet: list[tuple[str, str]] = []
    if rule.limit is not None:
        own = {name: {"component": "store", "org": "tidewater"}[name] for name in rule.limit.by}
        pairs = ",".join(f'{name}="{value}"' for name, value in {**own, **dict(rule.limit.only)}.items())
        name = f"{rule.limit.metric}{{{pairs}}}"
        series = [(name, f"{rule.limit.above + 1:g}x220")]
        quiet = [(name, f"{rule.limit.above:g}x220")]
    elif rule.name == "HoldfastGone":
        own = {"job": "holdfast"}
    fired = [{"exp_labels": {**labels, **own}, "exp_annotations": annotations}]
    early: list[Any] = [] if rule.for_s > STEP_S else fired

    def asked(minutes: str, expected: list[Any]) -> dict[str, Any]:
        return {"eval_time": minutes, "alertname": rule.name, "exp_alerts": expected}

    tests = [
        {
            "interval": f"{STEP_S}s",
            "input_series": [{"series": each, "values": values} for each, values in series],
            "alert_rule_test": [asked("0s", [] if rule.for_s else fired), asked(late, fired)]
            + ([] if early else [asked(f"{rule.for_s - STEP_S}s", [])]),
        }
    ]
    if quiet:
        tests.append(
            {
                "interval": f"{STEP_S}s",
                "input_series": [{"series": each, "values": values} for each, values in quiet],
                "alert_rule_test": [asked(late, [])],
            }
        )
    return tests


def prometheus() -> dict[str, Any]:
    """A whole configuration for one portal on the same machine."""
    return {
        "global": {"scrape_interval": "15s", "evaluation_interval": "15s"},
        "rule_files": ["rules.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": ["127.0.0.1:9093"]}]}]},
        "scrape_configs": [
            {
                "job_name": "holdfast",
                "metrics_path": "/api/diagnostics/metrics",
                # From another machine: `authorization: {credentials_file: …}` with a service token.
                "static_configs": [{"targets": ["127.0.0.1:8000"]}],
            }
        ],
    }


# Alertmanager


def alertmanager(url: str = "https://events.pagerduty.com/v2/enqueue") -> dict[str, Any]:
    """Pages to PagerDuty, tickets to the same service as warnings, the heartbeat to who misses it."""

    def pagerduty(severity: str) -> dict[str, Any]:
        return {
            "routing_key": "PAGERDUTY_ROUTING_KEY",
            "url": url,
            "severity": severity,
            "component": "{{ .CommonLabels.component }}",
            "group": "{{ .CommonLabels.org }}",
            "class": "{{ .CommonLabels.alertname }}",
            "description": "{{ .CommonAnnotations.summary }}: "
            "{{ .CommonLabels.component }} {{ .CommonLabels.org }}",
            "details": {"runbook": "{{ .CommonAnnotations.runbook }}"},
        }

    effects = sorted(CAUSED_BY)
    return {
        "route": {
            "receiver": "tickets",
            # One incident for each rule, org and component, and never two in one.
            "group_by": ["alertname", "org", "component"],
            "group_wait": "10s",
            "group_interval": "30s",
            "repeat_interval": "4h",
            "routes": [
                {
                    "matchers": ['severity="heartbeat"'],
                    "receiver": "heartbeat",
                    "group_wait": "0s",
                    "group_interval": "1m",
                    "repeat_interval": "1m",
                },
                {"matchers": ['severity="page"'], "receiver": "on-call"},
            ],
        },
        "inhibit_rules": [
            {
                "source_matchers": ['alertname="HoldfastPartLost"', f'component="{cause}"'],
                "target_matchers": [
                    f'component=~"{"|".join(each for each in effects if CAUSED_BY[each] == cause)}"'
                ],
            }
            for cause in sorted(set(CAUSED_BY.values()))
        ]
        + [
            {
                "source_matchers": ['alertname="HoldfastGone"'],
                "target_matchers": [
                    'alertname=~"Holdfast.*"',
                    'alertname!="HoldfastGone"',
                    'severity!="heartbeat"',
                ],
            }
        ],
        "receivers": [
            {"name": "on-call", "pagerduty_configs": [pagerduty("critical")]},
            {"name": "tickets", "pagerduty_configs": [pagerduty("warning")]},
            {
                "name": "heartbeat",
                "webhook_configs": [{"url": "http://127.0.0.1:9095/", "send_resolved": False}],
            },
        ],
    }


def text(content: dict[str, Any]) -> str:
    """As YAML."""
    return NOTE + str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110))


def files() -> dict[str, str]:
    """Every file under deploy/ that is written here."""
    return {
        "grafana/holdfast.json": dashboard(asyncio.run(every_metric())),
        "prometheus/rules.yml": text(rules()),
        "prometheus/rules.test.yml": text(rule_tests()),
        "prometheus/prometheus.yml": text(prometheus()),
        "alertmanager/alertmanager.yml": text(alertmanager()),
    }


CHECKS: Final = (
    ("promtool", "test", "rules", "prometheus/rules.test.yml"),
    ("promtool", "check", "config", "prometheus/prometheus.yml"),
    ("amtool", "check-config", "alertmanager/alertmanager.yml"),
    ("amtool", "config", "routes", "test", "--config.file=alertmanager/alertmanager.yml",
     "--verify.receivers=on-call", "severity=page", "alertname=HoldfastPartLost"),
    ("amtool", "config", "routes", "test", "--config.file=alertmanager/alertmanager.yml",
     "--verify.receivers=tickets", "severity=ticket"),
    ("amtool", "config", "routes", "test", "--config.file=alertmanager/alertmanager.yml",
     "--verify.receivers=heartbeat", "severity=heartbeat"),
)  # fmt: skip


def problems(written: dict[str, str]) -> list[str]:
    """What is stale, and what Prometheus' and Alertmanager's own tools find wrong."""
    found = [
        f"deploy/{name} is not what the code says: run tools/observe.py"
        for name, said in written.items()
        if not (DEPLOY / name).exists() or (DEPLOY / name).read_text() != said
    ]
    for command in CHECKS:
        if shutil.which(command[0]) is None:
            lost = f"{command[0]} is missing: {' '.join(command)} was not run"
            print(lost, file=sys.stderr)
            if os.environ.get("CI") == "true":
                found.append(lost)
            continue
        done = subprocess.run(command, cwd=DEPLOY, capture_output=True, text=True, check=False)
        if done.returncode:
            found.append(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
    # What Grafana gets must be JSON.
    msgspec.json.decode(written["grafana/holdfast.json"])
    return found


def main(arguments: Sequence[str]) -> int:
    """Write the files, or check them."""
    written = files()
    if "--check" in arguments:
        found = problems(written)
        print("\n".join(found) or "deploy/ is what the code says, and its tools agree")
        return 1 if found else 0
    for name, said in written.items():
        path = DEPLOY / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(said)
        print(f"deploy/{name}: {len(said.splitlines())} lines")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
