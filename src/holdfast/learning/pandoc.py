"""Two pieces of Pandoc's Markdown that course authors use: fenced divs and attributes of images.

The container and attrs plugins of the library come close but not close enough: Pandoc closes the
innermost div with any fence of three colons or more, however long the opening one was, and allows
single quotes and braces inside a quoted value. Real courses rely on both.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

MAX_DEPTH: Final = 10
"""Divs nested deeper are shown without a frame of their own: a bomb, not a lesson."""

MAX_WARNINGS: Final = 50
"""A source with more than these needs a person, not a longer list."""

FOLDED: Final = frozenset({"solution", "hint", "spoiler"})
"""Kinds that the learner opens."""

LEFT_OUT: Final = frozenset({"instructor"})
"""Kinds that learners don't see."""

_MARK: Final = "div_mark"
_KIND: Final = re.compile(r"[A-Za-z][\w-]{0,31}", re.ASCII)
_CLASS: Final = re.compile(r"\.([A-Za-z][\w-]{0,31})", re.ASCII)
_TITLES: Final = {"keypoints": "Key points", "prereq": "Prerequisites", "callout": "Note"}

_SPACE: Final = re.compile(r"\s*")
_PAIR: Final = re.compile(
    r"""(?:\#(?P<id>[\w:.-]+) | \.(?P<class>[\w-]+) | (?P<key>[A-Za-z][\w:-]*)=
        (?: '(?P<single>(?:[^'\\]|\\.)*)' | "(?P<double>(?:[^"\\]|\\.)*)" | (?P<bare>[\w:%.-]+) ) )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_MAX_ATTRIBUTES: Final = 4_000
"""Characters one attribute block may take; beyond that it is text."""


def fenced_divs(md: MarkdownIt) -> None:
    """Teach a parser `::: kind` … `:::`; warnings go to the list in `env["warnings"]`."""
    md.block.ruler.before(
        "fence", "fenced_div", _mark_rule, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )
    md.core.ruler.after("block", "fenced_div_pairs", _pair_rule)


def attributes(md: MarkdownIt) -> None:
    """Teach a parser `{alt='…' width="40%"}` after an image or link: `token.meta["attributes"]`."""
    md.inline.ruler.push("pandoc_attributes", _attributes_rule)


def title_of(kind: str) -> str:
    """What a div without a heading of its own is called on the page."""
    return _TITLES.get(kind, kind.replace("-", " ").capitalize())


def _fence_kind(line: str) -> str | None:
    """What a line opens: a kind; empty text when it closes; None when it is no fence."""
    text = line.strip()
    rest = text.lstrip(":")
    if len(text) - len(rest) < 3:  # noqa: PLR2004 - three colons make a fence
        return None
    rest = rest.strip().rstrip(":").strip()
    if not rest:
        return ""
    found = _KIND.fullmatch(rest)
    if found is None and rest.startswith("{") and rest.endswith("}"):
        named = _CLASS.search(rest)
        return named[1].lower() if named else "note"
    return found[0].lower() if found else None


def _mark_rule(state: StateBlock, start_line: int, _end_line: int, silent: bool) -> bool:  # noqa: FBT001 - the library's own shape
    """A fence is a flat mark; pairs are found later, so nesting costs no recursion."""
    if state.is_code_block(start_line):
        return False
    begin = state.bMarks[start_line] + state.tShift[start_line]
    if not state.src.startswith(":::", begin):
        return False
    kind = _fence_kind(state.src[begin : state.eMarks[start_line]])
    if kind is None:
        return False
    if not silent:
        mark = state.push(_MARK, "", 0)
        mark.info = kind
        mark.map = [start_line, start_line + 1]
        state.line = start_line + 1
    return True


class _Open(NamedTuple):
    kind: str | None
    """None: not a div but a list item, a quotation and the like."""
    tag: str
    """Empty when nothing is written for it."""
    hides: bool


class _Pairs:
    """Walks a document's tokens once and writes what the marks mean."""

    def __init__(self, warnings: list[str]) -> None:
        self.out: list[Token] = []
        self._stack: list[_Open] = []
        self._warnings = warnings
        self._hidden = 0
        self._depth = 0

    def take(self, tokens: list[Token], at: int) -> int:
        """Handle the token at an index; the index of the next one to handle."""
        token = tokens[at]
        if token.type == _MARK:
            return self._open(tokens, at) if token.info else self._close_mark(token, at)
        if token.nesting == -1:
            self._close_to_parent()
            self._stack.pop()
        self._write(token)
        if token.nesting == 1:
            self._stack.append(_Open(None, "", hides=False))
        return at + 1

    def finish(self) -> None:
        """The end of the document closes what is open."""
        while self._stack:
            self._warn_unclosed()
            self._close()

    def _write(self, *tokens: Token) -> None:
        if not self._hidden:
            self.out.extend(tokens)

    def _open(self, tokens: list[Token], at: int) -> int:
        kind = tokens[at].info
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._warn(f"a {kind!r} block is nested more than {MAX_DEPTH} deep; it is shown without a frame")
            self._stack.append(_Open(kind, "", hides=False))
            return at + 1
        hides = kind in LEFT_OUT
        tag = "" if hides else "details" if kind in FOLDED else "div"
        self._hidden += hides
        self._stack.append(_Open(kind, tag, hides))
        if tag:
            self._write(Token(f"{tag}_open", tag, 1, {"class": f"callout callout-{kind}"}, block=True))
        return self._title(tokens, at + 1, kind, tag) if tag else at + 1

    def _title(self, tokens: list[Token], at: int, kind: str, tag: str) -> int:
        """Write a div's heading: the author's own if one comes first, else the kind's name."""
        own = at + 2 < len(tokens) and tokens[at].type == "heading_open"
        folded = tag == "details"
        name, title_tag = ("summary", "summary") if folded else ("heading", tokens[at].tag if own else "h2")
        begin = Token(f"{name}_open", title_tag, 1, block=True)
        if not folded:
            begin.attrs = {"class": "callout-title"}
        if own:
            words = tokens[at + 1]
        else:
            words = Token("inline", "", 0, content=title_of(kind), children=[], block=True)
        self._write(begin, words, Token(f"{name}_close", title_tag, -1, block=True))
        return at + 3 if own else at

    def _close_mark(self, mark: Token, at: int) -> int:
        if self._stack and self._stack[-1].kind is not None:
            self._close()
        else:
            line = mark.map[0] + 1 if mark.map else 0
            self._warn(f"line {line}: a fence closes a block that is not open")
        return at + 1

    def _close_to_parent(self) -> None:
        while self._stack[-1].kind is not None:
            self._warn_unclosed()
            self._close()

    def _close(self) -> None:
        item = self._stack.pop()
        self._depth -= 1
        if item.tag:
            self._write(Token(f"{item.tag}_close", item.tag, -1, block=True))
        self._hidden -= item.hides

    def _warn_unclosed(self) -> None:
        self._warn(f"a {self._stack[-1].kind!r} block is never closed")

    def _warn(self, words: str) -> None:
        if len(self._warnings) < MAX_WARNINGS and words not in self._warnings:
            self._warnings.append(words)


def _pair_rule(state: StateCore) -> None:
    pairs = _Pairs(state.env.setdefault("warnings", []))
    at = 0
    while at < len(state.tokens):
        at = pairs.take(state.tokens, at)
    pairs.finish()
    state.tokens = pairs.out


def _attributes_rule(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 - the library's own shape
    if state.src[state.pos] != "{" or state.pending or not state.tokens:
        return False
    token = state.tokens[-1]
    if token.type not in ("image", "link_close"):
        return False
    parsed = _parse(state.src, state.pos, min(state.posMax, state.pos + _MAX_ATTRIBUTES))
    if parsed is None:
        return False
    end, found = parsed
    if not silent:
        token.meta["attributes"] = found
    state.pos = end
    return True


def _parse(text: str, begin: int, limit: int) -> tuple[int, dict[str, str]] | None:
    """Read `{…}` from a position: where it ended and its values; None when it is something else."""
    found: dict[str, str] = {}
    at = begin + 1
    while True:
        space = _SPACE.match(text, at, limit)
        at = space.end() if space else at
        if at < limit and text[at] == "}":
            return at + 1, found
        pair = _PAIR.match(text, at, limit)
        if pair is None:
            return None
        if pair["key"]:
            value = pair["single"] or pair["double"] or pair["bare"] or ""
            found[pair["key"].lower()] = _ESCAPED.sub(r"\1", value)
        at = pair.end()
