"""What the Feed port promises, held against every engine."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.feed.patch import difference, merged
from holdfast.feed.port import Feed
from tests.conformance.conftest import FEEDS, FeedEngine


class Browser:
    """A reader that does what a browser does with what it is given."""

    def __init__(self, feed: Feed, topic: str) -> None:
        self.feed = feed
        self.topic = topic
        self.document: dict[str, Any] = {}
        self.last_id: str | None = None
        self.events: list[str] = []

    def join(self) -> None:
        self.deliver(self.feed.join(self.topic, self, self.last_id))

    def deliver(self, frame: bytes) -> None:
        for block in frame.decode().split("\n\n"):
            lines = [line for line in block.split("\n") if line and not line.startswith(":")]
            if not lines:
                continue
            fields = {
                name: value.removeprefix(" ") for name, _, value in (each.partition(":") for each in lines)
            }
            self.take(fields["event"], fields["id"], json.loads(fields["data"]))

    def take(self, event: str, its_id: str, data: dict[str, Any]) -> None:
        if event == "snapshot":
            self.document = data
        else:
            assert event == "patch"
            assert data["base"] == self.document["seq"], "a patch without its base"
            self.document = merged(self.document, data["patch"])
        assert its_id == f"{self.document['epoch']}.{self.document['seq']}"
        self.last_id = its_id
        self.events.append(event)

    @property
    def told(self) -> dict[str, Any]:
        return {name: value for name, value in self.document.items() if name not in ("epoch", "seq")}


@pytest.fixture(params=FEEDS, ids=lambda each: each.name)
def feed(request: pytest.FixtureRequest) -> Feed:
    engine: FeedEngine = request.param
    return engine.open()


def joined(feed: Feed, topic: str = "a") -> Browser:
    browser = Browser(feed, topic)
    browser.join()
    return browser


def test_who_joins_gets_the_document_and_then_what_changes(feed: Feed) -> None:
    feed.publish("a", {"status": "ok", "parts": {"store": "ok", "disk": "ok"}})
    browser = joined(feed)
    feed.publish("a", {"status": "degraded", "parts": {"store": "down"}, "since": "now"})
    assert browser.told == {"status": "degraded", "parts": {"store": "down"}, "since": "now"}
    assert browser.events == ["snapshot", "patch"]


def test_the_number_rises_by_one_with_each_change_and_with_nothing_else(feed: Feed) -> None:
    seqs = [feed.publish("a", {"n": n}).seq for n in (1, 1, 2, 2, 3)]
    assert seqs == [1, 1, 2, 2, 3]


def test_a_topic_is_its_readers_business_and_nobody_elses(feed: Feed) -> None:
    feed.publish("a", {"n": 1})
    feed.publish("b", {"n": 1})
    one, other = joined(feed, "a"), joined(feed, "b")
    feed.publish("b", {"n": 2, "secret": "of b"})
    assert one.events == ["snapshot"]
    assert other.told == {"n": 2, "secret": "of b"}
    before = feed.publish("a", {"n": 1}).seq
    assert before == 1, "not even the number tells of another topic"


def test_who_comes_back_gets_what_it_missed_and_no_more(feed: Feed) -> None:
    feed.publish("a", {"n": 1})
    browser = joined(feed)
    feed.leave("a", browser)
    for n in (2, 3, 4):
        feed.publish("a", {"n": n})
    assert browser.told == {"n": 1}
    browser.join()
    assert browser.events == ["snapshot", "patch", "patch", "patch"]
    assert browser.told == {"n": 4}


def test_who_missed_nothing_gets_no_event(feed: Feed) -> None:
    feed.publish("a", {"n": 1})
    browser = joined(feed)
    feed.leave("a", browser)
    browser.join()
    assert browser.events == ["snapshot"]
    feed.publish("a", {"n": 2})
    assert browser.told == {"n": 2}


@pytest.mark.parametrize(
    "last_id", ["", "another.1", "{epoch}.99", "{epoch}.x", "{epoch}.-1", "{epoch}", "." * 99]
)
def test_an_id_that_is_not_this_feeds_gets_the_whole_document(feed: Feed, last_id: str) -> None:
    feed.publish("a", {"n": 1})
    browser = Browser(feed, "a")
    told = feed.now("a")
    assert told is not None
    browser.last_id = last_id.replace("{epoch}", json.loads(told.body)["epoch"])
    browser.join()
    assert browser.events == ["snapshot"]


def test_an_id_of_another_topic_gets_the_whole_document(feed: Feed) -> None:
    """Somebody signed out, and comes back with the number of what they may no longer hear."""
    for topic in ("a", "b"):
        feed.publish(topic, {"of": topic})
    before = joined(feed, "a")
    after = Browser(feed, "b")
    after.document, after.last_id = before.document, before.last_id
    after.join()
    assert after.told == {"of": "b"}
    assert after.events == ["snapshot"]


def test_who_was_away_for_too_long_gets_the_whole_document(feed: Feed) -> None:
    feed.publish("a", {"n": 0})
    browser = joined(feed)
    feed.leave("a", browser)
    for n in range(1, 2_000):
        feed.publish("a", {"n": n})
    browser.join()
    assert browser.events == ["snapshot", "snapshot"]
    assert browser.told == {"n": 1_999}


def test_large_patches_are_not_kept_without_end(feed: Feed) -> None:
    feed.publish("a", {"n": "0"})
    browser = joined(feed)
    feed.leave("a", browser)
    for n in range(1, 20):
        feed.publish("a", {"n": str(n) * 100_000})
    browser.join()
    assert browser.events[-1] == "snapshot"


def test_what_nobody_follows_is_let_go_of_and_its_number_goes_on(feed: Feed) -> None:
    feed.publish("a", {"n": 1})
    gone, here = joined(feed), joined(feed)
    feed.leave("a", gone)
    before = feed.publish("a", {"n": 2}).seq
    feed.release("a")
    other = Browser(feed, "a")
    other.document, other.last_id = gone.document, gone.last_id
    other.join()
    assert other.events == ["patch"], "somebody follows, so nothing is let go of"
    feed.leave("a", other)
    feed.leave("a", here)
    feed.release("a")
    feed.release("nobody's")
    here.join()
    assert here.events == ["snapshot", "patch"], "who missed nothing needs nothing"
    gone.join()
    assert gone.events == ["snapshot", "snapshot"]
    assert feed.publish("a", {"n": 3}).seq == before + 1
    assert gone.told == here.told == {"n": 3}


def test_quiet_fields_wake_nobody_and_come_along_with_the_next_change(feed: Feed) -> None:
    quiet = frozenset({"at"})
    feed.publish("a", {"n": 1, "at": 1, "part": {"at": 1, "x": 1}}, quiet)
    browser = joined(feed)
    feed.publish("a", {"n": 1, "at": 2, "part": {"at": 2, "x": 1}}, quiet)
    assert browser.events == ["snapshot"]
    now = feed.now("a")
    assert now is not None
    assert json.loads(now.body)["at"] == 2, "who asks hears the latest all the same"
    feed.publish("a", {"n": 2, "at": 3, "part": {"at": 3, "x": 1}}, quiet)
    assert browser.told == {"n": 2, "at": 3, "part": {"at": 3, "x": 1}}


def test_who_left_hears_no_more_and_leaving_twice_is_no_fault(feed: Feed) -> None:
    feed.publish("a", {"n": 1})
    browser = joined(feed)
    assert feed.readers("a") == 1
    for topic in ("a", "a", "nowhere"):
        feed.leave(topic, browser)
    feed.publish("a", {"n": 2})
    assert browser.told == {"n": 1}
    assert feed.readers("a") == 0


def test_a_topic_nobody_published_can_not_be_joined(feed: Feed) -> None:
    assert feed.now("a") is None
    with pytest.raises(LookupError):
        joined(feed)


@pytest.mark.parametrize("document", [{"n": None}, {"n": {"m": None}}])
def test_a_document_that_a_patch_can_not_tell_is_refused(feed: Feed, document: dict[str, Any]) -> None:
    feed.publish("a", {"n": 1})
    with pytest.raises(ValueError, match="None"):
        feed.publish("a", document)


def test_every_topic_and_every_start_has_an_epoch_of_its_own() -> None:
    for engine in FEEDS:
        feeds = [engine.open() for _ in range(50)]
        told = [feed.publish(topic, {}) for feed in feeds for topic in ("a", "b")]
        assert len({json.loads(each.body)["epoch"] for each in told}) == 100


def test_the_feed_counts_what_it_does(feed: Feed) -> None:
    feed.publish("a", {"n": 1})
    browser = joined(feed)
    feed.publish("a", {"n": 2})
    feed.leave("a", browser)
    browser.join()
    stats = feed.stats()
    assert (stats.topics, stats.readers, stats.published, stats.delivered) == (1, 1, 1, 1)
    assert (stats.snapshots, stats.resumed) == (1, 1)


# The patch itself

VALUES = st.recursive(
    st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=4)


@given(old=DOCUMENTS, new=DOCUMENTS)
def test_a_document_and_its_difference_make_the_other(old: dict[str, Any], new: dict[str, Any]) -> None:
    patch = difference(old, new)
    assert json.dumps(merged(old, patch), sort_keys=True) == json.dumps(new, sort_keys=True)
    assert difference(new, new) == {}


@given(documents=st.lists(DOCUMENTS, min_size=1, max_size=12), away=st.lists(st.booleans(), max_size=12))
def test_a_reader_that_comes_and_goes_ends_with_the_document(
    documents: list[dict[str, Any]], away: list[bool]
) -> None:
    for engine in FEEDS:
        feed = engine.open()
        feed.publish("a", {})
        browser = joined(feed)
        for number, document in enumerate(documents):
            leaves = number < len(away) and away[number]
            if leaves:
                feed.leave("a", browser)
            feed.publish("a", document)
            if leaves:
                browser.join()
            assert browser.told == document
