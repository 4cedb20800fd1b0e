"""What `systemctl stop|start|restart holdfast` means in a test: a portal on a folder, at a fixed port."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import msgspec

port, log = (os.environ[f"UNIT_{name}"] for name in ("PORT", "LOG"))
settings = dict(
    line
    for path in sorted(Path(os.environ["UNIT_FOLDER"]).glob("holdfast.service.d/*.conf"))
    for line in re.findall(r"^Environment=([A-Z_]+)=(\S+)$", path.read_text(), re.MULTILINE)
)
data = settings.get("HOLDFAST_DATA_DIR", os.environ["UNIT_DATA"])
note = Path(data) / "run" / "portal.json"


def stop() -> None:
    pid = msgspec.json.decode(note.read_bytes())["pid"]
    os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + 30
    # Its note goes before its locks do.
    while _runs(pid):
        assert time.monotonic() < end, "the portal did not stop"
        time.sleep(0.02)
    assert not note.exists()


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def start() -> None:
    command = ["holdfast", "serve", "--data", data, "--port", port]
    with Path(log).open("a") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert process.poll() is None, Path(log).read_text()
        with contextlib.suppress(OSError):
            if urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2).status == 200:
                pid = msgspec.json.decode(note.read_bytes())["pid"]
                Path(f"{log}.pid").write_text(str(pid))
                return
        time.sleep(0.05)
    raise AssertionError("the portal did not answer")


def restart() -> None:
    stop()
    start()


def reload() -> None:
    """Drop-ins are read each time."""


{"stop": stop, "start": start, "restart": restart, "daemon-reload": reload}[sys.argv[1]]()
