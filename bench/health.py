"""The stream of health, against nginx with nchan: what a delivery costs and how late it is."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx2

from bench.figure import Figure, Scale, alternate
from bench.folder import ROOT, work_folder
from bench.serving import TICKS_PER_S, seeded
from bench.telling import FILL, PER_S
from holdfast.web.streams import PATH

STREAMS: Final = 1_000
CROWD: Final = 8_000
STREAM_KB: Final = 8.0
RETURN_S: Final = 1.5
STOP_S: Final = 2.0
ASK_US: Final = 100.0
ASKED: Final = 3_000
_NCHAN: Final = """
load_module /usr/lib/nginx/modules/ngx_nchan_module.so;
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 20000; }}
http {{
  access_log off; client_body_temp_path {folder}/body; nchan_max_reserved_memory 64M;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /say {{ nchan_publisher; nchan_channel_id health; nchan_message_buffer_length 10; }}
    location = /hear {{ nchan_subscriber eventsource; nchan_channel_id health; }}
  }}
}}
"""


class Heard(NamedTuple):
    """One round: microseconds of the server's processor a delivery, p99 in ms, KB a stream, s to come."""

    cpu_us: float
    p99_ms: float
    stream_kb: float
    took_s: float


def _cpu_s(pids: list[int]) -> float:
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS_PER_S


def _pss_kb(pids: list[int]) -> float:
    found = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                found += int(line.split()[1])
    return float(found)


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextmanager
def _crowd(
    port: int, path: str, number: int, seconds: float
) -> Iterator[tuple[subprocess.Popen[str], float]]:
    command = [sys.executable, "-m", "bench.crowd", str(port), path, str(number), str(seconds)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    line = process.stdout.readline()
    if not line:
        raise RuntimeError("the crowd could not come")
    try:
        yield process, json.loads(line)["tookS"]
    finally:
        process.kill()
        process.communicate()


def _listen(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdin is not None  # noqa: S101
    assert process.stdout is not None  # noqa: S101
    process.stdin.write("\n")
    process.stdin.flush()
    said: dict[str, Any] = json.loads(process.stdout.readline())
    return said


def _round(
    pids: list[int], port: int, path: str, seconds: float, begin: Callable[[], None], end: Callable[[], None]
) -> Heard:
    before_kb = _pss_kb(pids)
    with _crowd(port, path, STREAMS, seconds) as (process, took_s):
        stream_kb = (_pss_kb(pids) - before_kb) / STREAMS
        begin()
        time.sleep(0.5)
        began_s = _cpu_s(pids)
        said = _listen(process)
        cpu_s = _cpu_s(pids) - began_s
        end()
        # On a machine that has others to serve both sides fall behind; nothing is lost, it is late.
        if said["heard"] < STREAMS * PER_S * seconds * 0.5:
            raise RuntimeError(f"only {said['heard']} deliveries were heard")
    return Heard(1e6 * cpu_s / said["heard"], said["p99Ms"], stream_kb, took_s)


@contextmanager
def _portal(folder: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = [sys.executable, "-m", "bench.telling", "--data", str(folder)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None  # noqa: S101
    line = process.stdout.readline()
    while line and "http://" not in line:
        line = process.stdout.readline()
    if not line:
        raise RuntimeError("the portal did not start")
    drained = threading.Thread(target=process.stdout.read, daemon=True)
    drained.start()
    try:
        yield process, int(line.strip().rpartition(":")[2])
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


@contextmanager
def _nchan(folder: Path) -> Iterator[tuple[list[int], int]]:
    with contextlib.closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    Path("/var/lib/nginx/body").mkdir(parents=True, exist_ok=True)
    (folder / "nginx.conf").write_text(_NCHAN.format(folder=folder, port=port))
    process = subprocess.Popen(["nginx", "-c", str(folder / "nginx.conf"), "-p", str(folder)])
    try:
        until = time.monotonic() + 10
        while not _children(process.pid):
            if time.monotonic() > until or process.poll() is not None:
                raise RuntimeError("nginx did not start")
            time.sleep(0.05)
        time.sleep(0.3)
        yield _children(process.pid), port
    finally:
        process.terminate()
        process.wait()


class _Sayer:
    """Publishes to nchan ten times a second, in a thread of the bench."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/say"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def once(self) -> None:
        with httpx2.Client() as client:
            client.post(self._url, content=self._text(0))

    def _text(self, number: int) -> str:
        return json.dumps(
            {"base": number, "patch": {"n": number, "at": time.monotonic_ns(), "fill": FILL}},
            separators=(",", ":"),
        )

    def _run(self) -> None:
        number = 0
        with httpx2.Client() as client:
            while not self._stop.is_set():
                number += 1
                client.post(self._url, content=self._text(number))
                time.sleep(1 / PER_S)

    def begin(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._stop.set()
        self._thread.join()


def run(scale: Scale) -> list[Figure]:
    """Every figure of the stream."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    seconds = float(scale.size(8, 3))
    ours: list[Heard] = []
    peers: list[Heard] = []
    stops: list[float] = []
    returns: list[float] = []
    asks: list[float] = []

    def portal() -> float:
        with work_folder() as folder, seeded(folder / "data") as data, _portal(data) as (process, port):
            pids = [process.pid]
            begin, end = (partial(os.kill, process.pid, each) for each in (signal.SIGUSR1, signal.SIGUSR2))
            ours.append(_round(pids, port, PATH, seconds, begin, end))
            asks.append(_asking(pids, port))
            with _crowd(port, PATH, CROWD, 0) as (_, took_s):
                returns.append(took_s)
            time.sleep(1.0)
            with _crowd(port, PATH, STREAMS, 0):
                began_s = time.monotonic()
                process.send_signal(signal.SIGTERM)
                process.wait(30)
                stops.append(time.monotonic() - began_s)
        return ours[-1].cpu_us

    def nchan() -> float:
        with work_folder() as folder, _nchan(folder) as (pids, port):
            sayer = _Sayer(port)
            sayer.once()
            peers.append(_round(pids, port, "/hear", seconds, sayer.begin, sayer.end))
        return peers[-1].cpu_us

    alternate(scale.rounds, portal, nchan)
    peer_is = "nginx 1.22 with nchan 1.3.6, one worker, messages of the same length."
    how = f"{STREAMS:,} streams hear {PER_S} patches a second; "
    inverse = "The ratio is the peer's cost over ours: above 1 ours is the smaller."
    return [
        Figure(
            bench="health", peer_is=peer_is, name="deliveries for a second of processor", unit="deliveries/s",
            how=how + f"processor seconds of the server, the kernel's part for it included. {inverse}",
            ours=[1e6 / each.cpu_us for each in ours], peer=[1e6 / each.cpu_us for each in peers],
            least_ratio=1.0,
            facts={"us a delivery": [round(each.cpu_us, 2) for each in ours],
                   "the peer's": [round(each.cpu_us, 2) for each in peers]},
        ),
        Figure(
            bench="health", peer_is=peer_is, name="promptness (1 / p99)", unit="1/s",
            how=how + f"from being told to being read. {inverse}",
            ours=[1e3 / each.p99_ms for each in ours], peer=[1e3 / each.p99_ms for each in peers],
            least_ratio=1.0,
            facts={"p99 ms": [round(each.p99_ms, 1) for each in ours],
                   "the peer's": [round(each.p99_ms, 1) for each in peers]},
        ),
        Figure(
            bench="health", name="memory of a stream", unit="KB",
            how=f"PSS with {STREAMS:,} streams open less PSS before, by stream.",
            ours=[each.stream_kb for each in ours], most=STREAM_KB,
            facts={"the peer's": [round(each.stream_kb, 1) for each in peers]},
        ),
        Figure(
            bench="health", name=f"{CROWD:,} come back at once", unit="s",
            how="From the first connection to the last snapshot, the crowd on the same machine.",
            ours=returns, most=RETURN_S,
        ),
        Figure(
            bench="health", name="SIGTERM to exit", unit="s",
            how=f"With {STREAMS:,} streams open.", ours=stops, most=STOP_S,
        ),
        Figure(
            bench="health", name="/api/health", unit="us",
            how=f"Processor time of the server for one of {ASKED:,} requests on one connection.",
            ours=asks, most=ASK_US,
        ),
    ]  # fmt: skip


def _asking(pids: list[int], port: int) -> float:
    request = b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port)) as sock:
        began_s = _cpu_s(pids)
        for _ in range(ASKED):
            sock.sendall(request)
            got = sock.recv(65_536)
            while b"\r\n\r\n" not in got or b"}" not in got:
                got += sock.recv(65_536)
        return 1e6 * (_cpu_s(pids) - began_s) / ASKED
