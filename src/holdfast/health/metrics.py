"""The one registry of metrics. Everything is read when it is asked for: nothing is counted twice."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from typing import NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class Sample(NamedTuple):
    """One reading: label values in the order of the metric's labels, and the value."""

    labels: tuple[str, ...]
    value: float


class Definition(NamedTuple):
    """One metric: its name with its unit, what it means, its labels, and who reads it."""

    name: str
    help: str
    labels: tuple[str, ...]
    read: Callable[[], Iterable[Sample]]
    counter: bool = False


class Readings(NamedTuple):
    """One metric as it stands: its name as Prometheus shows it, and its samples by their labels."""

    name: str
    samples: list[tuple[dict[str, str], float]]


class Metrics(Collector):
    """All metrics of a portal."""

    def __init__(self, definitions: Iterable[Definition]) -> None:
        """`definitions`: from wiring, which knows the parts."""
        self.definitions = tuple(definitions)
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Read every metric now."""
        for each in self.definitions:
            family = (CounterMetricFamily if each.counter else GaugeMetricFamily)(
                each.name, each.help, labels=each.labels
            )
            for sample in each.read():
                family.add_metric(sample.labels, sample.value)
            yield family

    def read(self, names: Container[str]) -> Iterator[Readings]:
        """The metrics of these names, now."""
        for each in self.definitions:
            name = f"{each.name}_total" if each.counter else each.name
            if name in names:
                found = [(dict(zip(each.labels, one.labels, strict=True)), one.value) for one in each.read()]
                yield Readings(name, found)

    def text(self) -> bytes:
        """The exposition, in Prometheus' text format."""
        return generate_latest(self._registry)
