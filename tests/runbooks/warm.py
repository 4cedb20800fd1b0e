"""`holdfast`, typed dozens of times: forked from a process that has read all of its code already.

A runbook's commands run as they stand; only Python's start and its imports, a second for each, are
paid once. As a program: `warm.py serve SOCKET` waits, `warm.py call SOCKET ARGUMENT…` is a command.
"""

from __future__ import annotations

import json
import os
import pkgutil
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import NoReturn

GONE = 137
"""What a shell says of a command that was killed."""


def call(path: str, arguments: list[str]) -> int:
    """Have a command run with this process's files, folder and environment; its exit status."""
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(path)
        said = {"arguments": arguments, "folder": str(Path.cwd()), "environ": dict(os.environ)}
        socket.send_fds(line, [b"!"], [0, 1, 2])
        line.sendall(json.dumps(said).encode())
        line.shutdown(socket.SHUT_WR)
        answer = line.recv(1)
    return answer[0] if answer else GONE


def serve(path: str) -> None:
    """Fork for each that calls, until killed."""
    package = import_module("holdfast.cli")
    for each in pkgutil.iter_modules(package.__path__):
        import_module(f"holdfast.cli.{each.name}")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as door:
        # A path is there before anybody listens: who waits for this one may call as soon as they see it.
        door.bind(f"{path}.new")
        door.listen()
        Path(f"{path}.new").rename(path)
        while True:
            line, _ = door.accept()
            if os.fork() == 0:
                door.close()
                _run(line, package.main)
            line.close()


def _run(line: socket.socket, main: Callable[..., object]) -> NoReturn:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    status = 1
    try:
        _, files, _, _ = socket.recv_fds(line, 1, 3)
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        text = b""
        while got := line.recv(65_536):
            text += got
        said = json.loads(text)
        os.chdir(said["folder"])
        os.environ.clear()
        os.environ.update(said["environ"])
        sys.stdout = os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
        main(said["arguments"], prog_name="holdfast")
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - it must be heard of, whatever it is
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        line.sendall(bytes([status & 0xFF]))
        os._exit(status & 0xFF)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    sys.exit(call(sys.argv[2], sys.argv[3:]))
