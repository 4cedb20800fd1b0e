"""One word for one thing: what another word would say, and where it may stand all the same."""

import pytest

from tests.house.source import modules, place, words

BANNED = {
    "ack": "a device gets a receipt",
    "tenant": "it is an org",
    "workspace": "it is an org",
    "account": "it is an org, or a user",
    "checkpoint": "the position the applier has finished is its cursor",
    "watermark": "it is a cursor, or a mark",
    "ingest": "taking events in is intake",
    "enqueue": "taking events in is intake, adding to the journal is append",
    "consumer": "the applier applies",
    "processor": "the applier applies",
    "projector": "the applier applies",
    "repository": "the tables people read are the store",
    "quarantine": "a record that can't be applied is parked",
    "requeue": "a person redrives a dead letter",
    "reprocess": "one dead letter is redriven, the journal is replayed",
    "resync": "the journal is replayed",
    "nonce": "an event has an id",
    "backend": "a port has engines",
    "adapter": "a port has engines",
    "realtime": "live changes are the feed",
    "healthy": "a status is ok, degraded, down or unknown",
    "reattempt": "the machine retries",
    "chaos": "outages are rehearsed in drills",
}
"""Word -> what we say instead; see the design's list of words."""

ALLOWED = {
    ("nonce", "access.csrf"): "a number used once, as cryptographers mean it",
    ("ingest", "web.condition"): "analyticsIngestLagMs is a name on the wire, and fixed",
    ("tenant", "store.sqlite"): "whether a table is one of an org's",
}


@pytest.mark.parametrize("name", sorted(modules()))
def test_identifiers_use_the_houses_words(name: str) -> None:
    short = name.removeprefix("holdfast.")
    found = {
        f"{identifier}: {BANNED[word]}"
        for word, identifier in words(name)
        if word in BANNED and (word, short) not in ALLOWED
    }
    assert found == set()


def test_every_exception_is_still_needed() -> None:
    for (word, short), why in ALLOWED.items():
        assert why
        assert any(word == used for used, _ in words(f"holdfast.{short}")), f"{word} in {short}"


def test_words_are_taken_from_all_of_the_house() -> None:
    assert {place(name) for name in modules()} >= {"core", "journal", "store", "events", "web", "cli"}
