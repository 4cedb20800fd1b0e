"""Load over HTTP: what the demo's people send, by wrk on a core of its own."""

from __future__ import annotations

import json
import random
import re
import resource
import subprocess
import time
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple
from zlib import crc32

from bench.figure import say
from bench.serving import LOAD_CORE, Served, SignedIn, can_pin

SCRIPT: Final = Path(__file__).with_name("sending.lua")
TAILS: Final = 200
"""How many different events a person has to tell of."""


class Shape(NamedTuple):
    """What is sent at once, and by how many."""

    name: str
    batch: int
    connections: int
    devices: int
    oriented: int
    """Events a second that the mission names for orientation."""


class Load(NamedTuple):
    """What one run of wrk found."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    server_us_per_request: float
    """Processor time of the whole server, the kernel's part for it included."""
    wrk_core: float
    """How much of its core wrk used; near 1 it is wrk that was measured."""


class Voice(NamedTuple):
    """A person, and what they can tell of."""

    person: SignedIn
    course: str
    lessons: list[str]


def voice(portal: Served, person: SignedIn) -> Voice:
    """What a person's first course holds."""
    course = portal.get("/api/client/courses", person)["items"][0]["id"]
    lessons = portal.get(f"/api/client/courses/{course}", person)["lessons"]
    return Voice(person, course, [lesson["id"] for lesson in lessons])


def wrk(server: Served, path: str, config: Path, shape: Shape, for_s: int) -> Load:
    """Send for so long. Raises RuntimeError when a request failed or was refused."""
    command = ["wrk", "-t1", f"-c{shape.connections}", f"-d{for_s}s", "--timeout", "30s"]
    if can_pin():
        command = ["taskset", "-c", str(LOAD_CORE), *command]
    server_s, own_s, began = server.cpu_s(), _children_s(), time.perf_counter()
    ran = subprocess.run(
        [*command, "-s", str(SCRIPT), server.url + path, "--", str(config)],
        capture_output=True,
        text=True,
        check=False,
        timeout=for_s + 60,
    )
    took_s = time.perf_counter() - began
    server_s, own_s = server.cpu_s() - server_s, _children_s() - own_s
    found = re.search(r"^RESULT (.*)$", ran.stdout, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"wrk gave no result:\n{ran.stdout}{ran.stderr}")
    said = json.loads(found.group(1))
    if said["refused"] or said["broken"] or not said["requests"]:
        raise RuntimeError(f"requests to {path} failed: {said}")
    return Load(
        said["requests"],
        said["micros"] / 1e6,
        said["p50Ms"],
        said["p99Ms"],
        server_s * 1e6 / said["requests"],
        own_s / took_s,
    )


def shown(loads: list[Load], shape: Shape) -> dict[str, float]:
    """The medians of several runs, as facts."""
    per_s = median(load.requests / load.seconds for load in loads)
    return {
        "eventsPerS": round(per_s * shape.batch),
        "requestsPerS": round(per_s),
        "p50Ms": round(median(load.p50_ms for load in loads), 1),
        "p99Ms": round(median(load.p99_ms for load in loads), 1),
        "serverUsPerRequest": round(median(load.server_us_per_request for load in loads), 1),
        "wrkCore": round(median(load.wrk_core for load in loads), 2),
    }


def cores() -> str:
    """Who ran where, in words."""
    if can_pin():
        return "one worker on one core, wrk on another"
    say("  This machine has one core: server and load share it, and the figures say little.")
    return "server and wrk shared the machine's only core"


def config(shape: Shape, voices: list[Voice]) -> str:
    """The load's settings as a Lua table; what differs from event to event is added in `sending.lua`."""
    rng = random.Random(1)
    senders = ",\n".join(_sender(each, rng) for each in voices)
    return f"return {{batch={shape.batch}, devices={shape.devices}, senders={{\n{senders}\n}}}}\n"


def event_bytes(written: Path) -> int:
    """The mean size of the events that a config speaks of."""
    tails = re.findall(r"\[==\[(\"kind\".*?)\]==\]", written.read_text())
    before = len('{"id":"","seq":1234,') + 36
    return round(sum(map(len, tails)) / len(tails)) + before


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _sender(voice: Voice, rng: random.Random) -> str:
    person = voice.person
    tails = ",\n".join(f"[==[{_tail(voice, rng)}]==]" for _ in range(TAILS))
    headers = (
        f'["Content-Type"]="application/json",["Cookie"]=[==[{person.cookie}]==],'
        f'["X-CSRF-Token"]=[==[{person.csrf}]==]'
    )
    return f"{{headers={{{headers}}},tails={{\n{tails}}}}}"


def _tail(voice: Voice, rng: random.Random) -> str:
    """An event after its id and number."""
    session, at = rng.randrange(10**6), rng.randrange(3000)
    body = (
        f'{{"courseId":"{voice.course}","lessonId":"{rng.choice(voice.lessons)}","percent":{rng.randrange(101)},'
        f'"positionS":{at}.5,"interval":{{"sessionId":"s{session}","fromS":{at},"toS":{at + 30}}}}}'
    )
    return (
        f'"kind":"lesson.progressed","version":1,"orgId":"{voice.person.org}",'
        f'"occurredAt":"2026-01-{rng.randrange(1, 29):02d}T12:00:00.000Z",'
        f'"checksum":"{crc32(body.encode()):08x}","body":{body}}}'
    )
