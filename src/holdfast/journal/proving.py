"""The proof of one segment: checksums, counts and the chain, line by line."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator
from hashlib import sha256

from holdfast.journal import segment
from holdfast.journal.port import Erased, Finding


class _Proof:
    """One segment's proof, line by line."""

    def __init__(self, prev: str | None, erased: Erased) -> None:
        """`prev`: the link the segment before ended in, where there is one."""
        self.sha = prev
        self._erased = erased
        self._lines = 0
        self._frame = sha256()

    def header(self, header: segment.Header) -> Iterator[str]:
        """The first line."""
        if self.sha is not None and header.prev != self.sha:
            yield "the header names another digest than the segment before ends in"
        self.sha = header.prev

    def event(self, line: bytes) -> Iterator[str]:
        """An event's line."""
        if not segment.is_exact(line):
            yield "the line does not fit its crc32"
        self.other(line)
        self._lines += 1

    def other(self, line: bytes) -> None:
        """Whatever stands in a frame is part of its bytes."""
        self._frame.update(line + b"\n")

    def commit(self, line: bytes, commit: segment.Commit) -> Iterator[str]:
        """The line that ends a frame."""
        if commit.n != self._lines:
            yield f"the frame has {self._lines} lines, its commit says {commit.n}"
        if self.sha is not None and commit.prev != self.sha:
            yield "the chain is broken: the previous digest is another"
        if segment.link_of(line) != commit.sha:
            yield "the commit does not fit its own digest"
        digest = self._frame.hexdigest()
        if digest != commit.d and digest not in self._allowed(commit):
            yield "the frame's lines do not fit their digest"
        self.sha = commit.sha
        self._lines = 0
        self._frame = sha256()

    def _allowed(self, commit: segment.Commit) -> Collection[str]:
        """What a frame's digest may be instead, because something in it was erased, and that is on record."""
        return self._erased.get(commit.p, ()) if commit.n else ()

    def end(self) -> Iterator[str]:
        """After the last line."""
        if self._lines:
            yield f"{self._lines} lines stand after the last commit"


def prove(name: str, text: bytes, prev: str | None, erased: Erased) -> Generator[Finding, None, str | None]:
    """What is wrong with the segment `name`; gives its last link through `yield from`.

    `text`: its bytes up to where it ends. `prev`: the link the segment before ended in, where there is one.
    """
    proof = _Proof(prev, erased)
    for number, line in enumerate(text.removesuffix(b"\n").split(b"\n"), 1):
        if segment.is_event(line):
            wrong = proof.event(line)
        elif (commit := segment.parse_commit(line)) is not None:
            wrong = proof.commit(line, commit)
        elif number == 1 and (header := segment.parse_header(line)) is not None:
            wrong = proof.header(header)
        else:
            proof.other(line)
            wrong = iter(("the line is not one of a journal",) if text else ())
        for what in wrong:
            yield Finding(name, number, what)
    for what in proof.end():
        yield Finding(name, number, what)
    return proof.sha
