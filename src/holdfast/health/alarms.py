"""The portal's own alarms, where no Prometheus watches it: the same rules, from the same metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

import structlog

from holdfast.core.backoff import full_jitter_s
from holdfast.core.clock import Clock, rfc3339
from holdfast.health.alarm_book import AlarmBook
from holdfast.health.metrics import Metrics
from holdfast.health.pagers import Pager
from holdfast.health.rules import CAUSED_BY, RULES, Rule

log = structlog.get_logger(__name__)

EVERY_S: Final = 1.0
CLEAR_S: Final = 30.0
"""So long a condition must be gone before an alarm is called off."""


class Found(NamedTuple):
    """A condition that holds now."""

    rule: Rule
    component: str
    org: str

    @property
    def key(self) -> str:
        """One for each rule, org and component: the same at every start."""
        return f"{self.rule.name}/{self.org or '-'}/{self.component or '-'}"


class Alarms:
    """Watches, notes, tells."""

    def __init__(
        self,
        metrics: Metrics,
        book: AlarmBook,
        pagers: Sequence[Pager],
        clock: Clock,
        *,
        known: Callable[[str], bool],
        rules: Iterable[Rule] = RULES,
    ) -> None:
        """`known` tells of a component whether anybody knows how it is: else nothing of its is called off.

        Nobody does right after a start, nor of what lies in the store while that is out.
        """
        self._metrics = metrics
        self._book = book
        self._pagers = tuple(pagers)
        self._clock = clock
        self._known = known
        self._rules = {rule.limit.metric: [] for rule in rules if rule.limit is not None}  # type: ignore[var-annotated]
        for rule in rules:
            if rule.limit is not None:
                self._rules[rule.limit.metric].append(rule)
        self._since_s: dict[str, float] = {}
        self._clear_since_s: dict[str, float] = {}
        self._news = asyncio.Event()

    def look(self) -> None:
        """Hold the metrics against the rules; note what is new. Raises OSError where it can't be noted."""
        now_s = self._clock.ticks_s()
        found = {each.key: each for each in self._found()}
        for key in [key for key in self._since_s if key not in found]:
            del self._since_s[key]
        paged = {each.component for each in found.values() if each.rule.severity == "page"}
        for key, each in found.items():
            self._clear_since_s.pop(key, None)
            if each.rule.severity == "page" and CAUSED_BY.get(each.component) in paged:
                # Somebody is told of the cause. It counts anew from when that is over.
                self._since_s[key] = now_s
                continue
            held_s = now_s - self._since_s.setdefault(key, now_s)
            if held_s >= each.rule.for_s and key not in self._book.open:
                self._note("trigger", key, each.rule, each.component, each.org)
        for key, entry in list(self._book.open.items()):
            if key in found:
                continue
            if not self._known(entry.component):
                self._clear_since_s.pop(key, None)
                continue
            if now_s - self._clear_since_s.setdefault(key, now_s) >= CLEAR_S:
                del self._clear_since_s[key]
                rule = next((one for one in RULES if one.name == entry.rule), None)
                if rule is not None:
                    self._note("resolve", key, rule, entry.component, entry.org)

    def _note(self, act: str, key: str, rule: Rule, component: str, org: str) -> None:
        where = " ".join(each for each in (component, org) if each)
        self._book.add(
            act=act,
            key=key,
            rule=rule.name,
            component=component,
            org=org,
            severity=rule.severity,
            summary=f"{rule.summary}: {where}",
            runbook=rule.runbook,
            at=rfc3339(self._clock.now_s()),
        )
        log.warning("alarm", act=act, key=key)
        self._news.set()

    def _found(self) -> Iterable[Found]:
        for family in self._metrics.read(self._rules):
            for rule in self._rules[family.name]:
                limit = rule.limit
                assert limit is not None  # noqa: S101 - that is how they were chosen
                for labels, value in family.samples:
                    if value > limit.above and all(labels.get(name) == its for name, its in limit.only):
                        yield Found(rule, labels.get("component", rule.component), labels.get("org", ""))

    async def run(self) -> None:
        """Watch and tell until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch())
            for pager in self._pagers:
                group.create_task(self._tell(pager))

    async def _watch(self) -> None:
        while True:
            try:
                self.look()
            except OSError as fault:
                # The disk is what is wrong, perhaps: the condition holds, so the next look notes it.
                log.error("an alarm can't be noted", fault=str(fault))  # noqa: TRY400
            except Exception:
                log.exception("alarms could not be looked after")
            await asyncio.sleep(EVERY_S)

    async def _tell(self, pager: Pager) -> None:
        """One at a time and in order: a resolve never overtakes its trigger."""
        attempt = 0
        while True:
            entry = self._book.next_for(pager.name)
            if entry is None:
                self._news.clear()
                await self._news.wait()
                continue
            try:
                taken = await pager.tell(entry)
                if taken:
                    self._book.told(entry, pager.name)
            except Exception:
                log.exception("a pager failed", pager=pager.name)
                taken = False
            attempt = 0 if taken else attempt + 1
            if not taken:
                await asyncio.sleep(0.2 + full_jitter_s(attempt, base_s=1.0, cap_s=60.0))
