"""Receipts over HTTP: batches of a hundred, and single events from 256 clients at once.

The bar says: at least half of what the same server does when it reads and answers the same bodies
without doing anything. It is read so: the peer is Holdfast's own app and door, which reads each event
as the portal does and answers the same receipts, with an intake that does nothing (see `hollow`).
Two emptier peers stand beside it without a bar (see `peer`), so that everybody can read it otherwise.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench.figure import Figure, Scale, alternate, say
from bench.folder import work_folder
from bench.sending import Load, Shape, config, cores, event_bytes, shown, voice, wrk
from bench.serving import Served, SignedIn, seeded
from holdfast.learning import demo

PATH: Final = "/api/client/progress/batch"
UNLIMITED: Final = {"HOLDFAST_BATCHES_PER_S": "1000000", "HOLDFAST_BATCHES_BURST": "1000000"}
"""How often one person may send is no figure of speed; the limit is asked all the same."""
DRAIN_TIMEOUT_S: Final = 300.0
BAR: Final = 0.5
WRK_FULL: Final = 0.9
"""From this share of its core on, wrk may be what was measured."""
SHAPES: Final = (
    Shape("batches of 100", 100, 32, 64, 120_000),
    Shape("single events from 256 clients", 1, 256, 256, 6_000),
)


class Peer(NamedTuple):
    """A server that does less, and where it takes bodies."""

    name: str
    path: str
    words: str
    least_ratio: float | None


PEERS: Final = (
    Peer(
        "the same server doing nothing",
        PATH,
        "Holdfast's own app and door: session, CSRF token, org, policy, rate limit, and each event judged as "
        "the portal judges it (shape, kind, org, checksum, digest, envelope); its intake answers `accepted` "
        "with a made-up position. No window of ids, no journal, no sync, no device book, no applier. The bar "
        "is read so: the same server, reading and answering the same bodies, without doing anything.",
        BAR,
    ),
    Peer(
        "a bare endpoint that decodes",
        "/read",
        "The same server configuration, bodies and structs: reads each event and its body and answers a "
        "receipt for each, without session, CSRF, org, policy, digest, journal, sync, window, devices or "
        "router. No bar.",
        None,
    ),
    Peer(
        "a bare endpoint that reads nothing",
        "/drain",
        "The same server configuration: takes the body off the wire, answers `{}`. No bar.",
        None,
    ),
)


class Sides(NamedTuple):
    """The servers under measure."""

    portal: Served
    operator: SignedIn
    hollow: Served
    bare: Served

    def of(self, peer: Peer) -> Served:
        """The one that a peer is."""
        return self.hollow if peer.path == PATH else self.bare


def run(scale: Scale) -> list[Figure]:
    """For each shape, one figure a peer."""
    if shutil.which("wrk") is None:
        raise RuntimeError("wrk is missing (Debian: apt-get install wrk); make bench installs it when root")
    found: list[Figure] = []
    with work_folder() as folder, seeded(folder / "data") as data:
        # The same people with the same sessions: the hollow portal has a copy of the key, too.
        shutil.copytree(data, folder / "hollow")
        with (
            Served.portal(data, UNLIMITED, pinned=True) as portal,
            Served.hollow(folder / "hollow", UNLIMITED, pinned=True) as hollow,
            Served.bare(pinned=True) as bare,
        ):
            people = [portal.sign_in(person.email) for person in demo.PEOPLE if person.org is not None]
            operator = portal.sign_in(next(each.email for each in demo.PEOPLE if each.org is None))
            sides = Sides(portal, operator, hollow, bare)
            for shape in SHAPES:
                written = folder / f"load-{shape.batch}.lua"
                written.write_text(config(shape, [voice(portal, person) for person in people]))
                found += _measure(shape, written, sides, scale)
    return found


def _measure(shape: Shape, written: Path, sides: Sides, scale: Scale) -> list[Figure]:
    seconds = scale.size(6, 1)
    loads: dict[str, list[Load]] = {"ours": [], **{peer.name: [] for peer in PEERS}}
    drained_s: list[float] = []
    balances: list[dict[str, int]] = []

    def ours() -> float:
        wrk(sides.portal, PATH, written, shape, 1)
        _drained(sides)
        before = _taken(sides)
        load = wrk(sides.portal, PATH, written, shape, seconds)
        loads["ours"].append(load)
        # Or the applier would take its time from the peers' rounds.
        drained_s.append(_drained(sides))
        balances.append(_balance(sides, before, load, shape))
        return load.requests * shape.batch / load.seconds

    def side(peer: Peer) -> float:
        wrk(sides.of(peer), peer.path, written, shape, 1)
        load = wrk(sides.of(peer), peer.path, written, shape, seconds)
        loads[peer.name].append(load)
        return load.requests * shape.batch / load.seconds

    values, *others = alternate(scale.rounds, ours, *(lambda peer=peer: side(peer) for peer in PEERS))
    mine = {
        **shown(loads["ours"], shape),
        "drainedAfterS": [round(each, 2) for each in drained_s],
        "ledger": balances,
        "orientation": f"{shape.oriented:,} events/s",
    }
    how = (
        f"{shape.batch} event(s) of about {event_bytes(written)} bytes a request, {shape.connections} "
        f"connections, {shape.devices} devices of {len(demo.PEOPLE) - 1} signed-in people, fresh UUIDv7 ids; "
        f"{seconds} s after 1 s of warming up; {cores()}; every answer after fdatasync. The applier runs as "
        "always, and has drained before the peers' turns begin; the ledger balances after each round."
    )
    found = [
        Figure(
            bench="receipts",
            name=f"{shape.name}, against {peer.name}",
            unit="events/s",
            how=how if peer is PEERS[0] else "The same rounds of ours.",
            ours=values,
            peer_is=peer.words,
            peer=theirs,
            least_ratio=peer.least_ratio,
            facts={**({"ours": mine} if peer is PEERS[0] else {}), **_facts(peer, loads, shape)},
        )
        for peer, theirs in zip(PEERS, others, strict=True)
    ]
    for figure in found:
        if figure.least_ratio is None:
            # So that nobody is misled by how the bar's words were read.
            reached = "reached" if (figure.ratio or 0.0) >= BAR else "not reached"
            figure.how += f" Read this way, the bar of {BAR:g} is {reached}."
    return found


def _facts(peer: Peer, loads: dict[str, list[Load]], shape: Shape) -> dict[str, Any]:
    theirs, mine = shown(loads[peer.name], shape), shown(loads["ours"], shape)
    facts: dict[str, Any] = {
        "peer": theirs,
        # Beside the ratio of throughputs: it hardly hears of what else the machine does.
        "ratioByProcessorTime": round(theirs["serverUsPerRequest"] / mine["serverUsPerRequest"], 3),
    }
    if theirs["wrkCore"] > WRK_FULL:
        say(f"  wrk used {theirs['wrkCore']:.0%} of its core against {peer.name}: that may be faster")
        facts["wrkWasTheLimit"] = "of the peer, which may be faster"
    return facts


def _taken(sides: Sides) -> tuple[int, int]:
    """Events accepted by the ledger's word, and receipts that said so since start."""
    return sides.portal.ledger(sides.operator)["accepted"], sides.portal.receipts()["accepted"]


def _balance(sides: Sides, before: tuple[int, int], load: Load, shape: Shape) -> dict[str, int]:
    """What a round added. Raises RuntimeError when an event is unaccounted for: then no figure counts."""
    row = sides.portal.ledger(sides.operator)
    after = _taken(sides)
    accepted, receipts = after[0] - before[0], after[1] - before[1]
    # wrk leaves with a request of each connection under way: it is accepted, and not counted by wrk.
    counted = load.requests * shape.batch
    most = counted + shape.connections * shape.batch
    if not (
        accepted == receipts
        and counted <= accepted <= most
        and row["accepted"] == row["applied"] + row["duplicate"] + row["dead"] + row["pending"]
        and row["dead"] == 0
    ):
        raise RuntimeError(
            f"the ledger does not balance: {row}; receipts {receipts}, accepted {accepted}, "
            f"wrk counted {counted} to {most}"
        )
    return {"accepted": accepted, "receipts": receipts, "wrkCounted": counted}


def _drained(sides: Sides) -> float:
    """Wait until nothing waits for the applier; the seconds that took. Raises RuntimeError."""
    began = time.monotonic()
    while sides.portal.ledger(sides.operator)["pending"]:
        if time.monotonic() - began > DRAIN_TIMEOUT_S:
            raise RuntimeError(f"the applier has not caught up within {DRAIN_TIMEOUT_S:g} s")
        time.sleep(0.05)
    return time.monotonic() - began
