"""An author's Markdown as HTML that is safe to show.

Two steps, by libraries: markdown-it reads CommonMark with the extensions that course authors use,
nh3 lets through what is on a list. The second step is what safety rests on; nothing in the first
is trusted.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cache
from typing import Any, Final, NamedTuple, cast
from urllib.parse import unquote, urlsplit

import nh3
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from mdit_py_plugins.deflist import deflist_plugin
from mdit_py_plugins.footnote import footnote_plugin
from mdit_py_plugins.front_matter import front_matter_plugin

from holdfast.learning import pandoc

Resolve = Callable[[str], str | None]
"""Takes a path as the author wrote it (relative to the file, unquoted, no fragment), gives the
address to put in its place, or None when the course has no such figure or lesson."""

MAX_RAW_TAGS: Final = 5_000
"""HTML tags in one source; with more, its HTML is shown as text. The sanitiser's time grows with
the square of the depth: a megabyte of `<div>` would hold it for minutes."""

MAX_DANGLING: Final = 200
"""Dangling links told of one source."""

_MAX_NESTING: Final = 40
_TAG_NAMES: Final = (
    "a abbr b blockquote br caption cite code col colgroup dd del details dfn div dl dt em figcaption "
    "figure h2 h3 h4 h5 h6 hr i img ins kbd li mark ol p pre q s samp section small span strong sub "
    "summary sup table tbody td tfoot th thead tr u ul var"
)
_TAGS: Final = frozenset(_TAG_NAMES.split())
_GONE_WITH_CONTENT: Final = frozenset(
    {
        "script",
        "style",
        "iframe",
        "object",
        "embed",
        "noscript",
        "template",
        "textarea",
        "title",
        "svg",
        "math",
    }
)
_ATTRIBUTES: Final = {
    "*": {"class", "id", "lang", "dir"},
    "a": {"href", "title"},
    "img": {"src", "alt", "title", "width", "height"},
    "ol": {"start"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan", "scope"},
    "abbr": {"title"},
    "details": {"open"},
}
_CLASS: Final = re.compile(
    r"callout(-[a-z][\w-]*)?|missing-figure|align-(left|right|center)|language-[\w+#.-]+|footnote[\w-]*",
    re.ASCII,
)
_ID: Final = re.compile(r"s-[\w-]{1,100}|fn(ref)?\d{1,6}(:\d{1,6})?")
_SIZE: Final = re.compile(r"\d{1,4}(px|%)?", re.ASCII)
_SCHEMES: Final = frozenset({"http", "https", "mailto"})
_LEFTOVER: Final = re.compile(r"\{%.{0,200}?%\}|\{\{.{0,200}?\}\}|\{:[^{}\n]{0,200}\}")
_GRID_TABLE: Final = re.compile(r"\+[-=:]{3,}[-=:+]*\+\n")
_ALIGN: Final = re.compile(r"text-align:\s*(left|right|center)")


class Dangling(NamedTuple):
    """A link that leads nowhere: what the author wrote, and why it can't be followed."""

    target: str
    why: str


class Rendered(NamedTuple):
    """What came of one source."""

    html: str
    title: str | None
    """The text of a first-level heading at the top, which is then not part of `html`."""
    front_matter: str
    """The YAML between the dashes at the top; empty when there is none."""
    summary: str
    """The first paragraph as plain text."""
    dangling: list[Dangling]
    warnings: list[str]


def render(source: str, resolve: Resolve) -> Rendered:
    """Safe HTML from Markdown of unknown origin. Raises nothing, whatever the source holds."""
    env: dict[str, Any] = {"warnings": []}
    parser = _parser()
    tokens = parser.parse(source, env)
    front_matter = ""
    if tokens and tokens[0].type == "front_matter":
        front_matter = tokens.pop(0).content
    page = _Page(parser, resolve, env["warnings"])
    title = page.take_title(tokens)
    summary = page.first_paragraph(tokens)
    page.walk(tokens)
    html = parser.renderer.render(tokens, parser.options, env)
    return Rendered(page.sanitise(html), title, front_matter, summary, page.dangling, page.warnings)


def slug(text: str) -> str:
    """Lower-case letters, digits and single hyphens out of any text; empty when nothing is left."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": True, "linkify": False, "maxNesting": _MAX_NESTING})
    parser.enable(["table", "strikethrough"])
    parser.use(front_matter_plugin).use(footnote_plugin).use(deflist_plugin)
    return parser.use(pandoc.fenced_divs).use(pandoc.attributes)


class _Page:
    """One source on its way to HTML: links, figures and headings are put right here."""

    def __init__(self, parser: MarkdownIt, resolve: Resolve, warnings: list[str]) -> None:
        self.dangling: list[Dangling] = []
        self.warnings = warnings
        self._parser = parser
        self._resolve = resolve
        self._addresses: set[str] = set()
        """Addresses that the resolver gave: the only ones inside the portal that may stay."""
        self._ids: dict[str, int] = {}

    def take_title(self, tokens: list[Token]) -> str | None:
        """Take a first-level heading off the top."""
        if len(tokens) < 3 or tokens[0].type != "heading_open" or tokens[0].tag != "h1":  # noqa: PLR2004 - open, text, close
            return None
        title = self._text(tokens[1])
        del tokens[:3]
        return title or None

    def first_paragraph(self, tokens: list[Token]) -> str:
        """The text of the first paragraph that stands at the top level."""
        for at, token in enumerate(tokens):
            if token.type == "paragraph_open" and token.level == 0:
                return " ".join(self._text(tokens[at + 1]).split())
        return ""

    def walk(self, tokens: list[Token]) -> None:
        """Put every token right, in place."""
        self._tame_html(tokens)
        for at, token in enumerate(tokens):
            if token.type == "inline" and _GRID_TABLE.match(token.content):
                self._grid_table(tokens, at)
            elif token.type == "inline" and token.children is not None:
                self._leftovers(token)
                token.children = self._inline(token.children)
                self._figure(tokens, at)
            elif token.type == "heading_open":
                if token.tag == "h1":
                    token.tag = tokens[at + 2].tag = "h2"  # the page's own title is the only h1
                token.attrs["id"] = self._heading_id(self._text(tokens[at + 1]))
            elif token.type in ("th_open", "td_open"):
                aligned = _ALIGN.search(str(token.attrs.pop("style", "")))
                if aligned:
                    token.attrs["class"] = f"align-{aligned[1]}"

    def sanitise(self, html: str) -> str:
        """Let through what is on the list, and addresses that were looked at."""
        return nh3.clean(
            html,
            tags=_TAGS,
            clean_content_tags=_GONE_WITH_CONTENT,
            attributes=_ATTRIBUTES,
            attribute_filter=self._attribute,
            url_schemes=_SCHEMES,
            link_rel="noopener noreferrer",
        )

    def _text(self, inline: Token) -> str:
        renderer = cast("RendererHTML", self._parser.renderer)
        return renderer.renderInlineAsText(inline.children or [], self._parser.options, {}).strip()

    def _tame_html(self, tokens: list[Token]) -> None:
        every = [token for token in tokens if token.type == "html_block"]
        every += [child for token in tokens for child in token.children or () if child.type == "html_inline"]
        if sum(token.content.count("<") for token in every) > MAX_RAW_TAGS:
            self._warn(f"more than {MAX_RAW_TAGS} HTML tags; they are shown as text")
            for token in every:
                token.content = escapeHtml(token.content)

    def _grid_table(self, tokens: list[Token], at: int) -> None:
        """Pandoc's grid tables are not read; drawn with a fixed pitch they can still be."""
        self._warn("a grid table is shown as plain text: write it with pipes to have it drawn")
        tokens[at - 1].hidden = tokens[at + 1].hidden = True
        tokens[at] = Token("code_block", "code", 0, content=f"{tokens[at].content}\n")

    def _leftovers(self, inline: Token) -> None:
        for child in inline.children or ():
            if child.type == "text":
                for found in _LEFTOVER.findall(child.content):
                    self._warn(f"{found!r} is shown as it stands: it belongs to another system")

    def _inline(self, children: list[Token]) -> list[Token]:
        dropping = False
        for at, child in enumerate(children):
            if child.type == "image":
                children[at] = self._image(child)
            elif child.type == "link_open":
                href = self._link(str(child.attrs.get("href", "")))
                dropping = href is None
                child.hidden = dropping
                child.attrs["href"] = href or ""
            elif child.type == "link_close" and dropping:
                child.hidden = True
        return children

    def _image(self, image: Token) -> Token:
        """An image with its address put right, or its alternative text when there is no such file."""
        given: dict[str, str] = image.meta.pop("attributes", {})
        caption = self._inline(image.children or [])
        alt = given.get("alt") or self._text(image)
        target = unquote(str(image.attrs.get("src", "")))
        address = self._look_up(target)
        if address is None:
            remote = bool(_scheme_of(target)) or target.startswith("//")
            why = "figures must be part of the course" if remote else "no such figure in the course"
            self._dangles(target, why)
            words = f'<span class="missing-figure">{escapeHtml(alt or target)}</span>'
            return Token("html_inline", "", 0, content=words)
        image.attrs["src"] = address
        image.attrs.update({key: given[key] for key in ("width", "height") if key in given})
        image.children = [Token("text", "", 0, content=alt)]
        if "alt" in given:
            image.meta["caption"] = caption
        return image

    def _figure(self, tokens: list[Token], at: int) -> None:
        """An image alone in its paragraph, with alternative text of its own, has a caption."""
        children = tokens[at].children or []
        if len(children) != 1 or children[0].type != "image" or not children[0].meta.get("caption"):
            return
        begin, end = tokens[at - 1], tokens[at + 1]
        if begin.type != "paragraph_open" or begin.hidden:
            return
        begin.tag = end.tag = "figure"
        children.append(Token("figcaption_open", "figcaption", 1))
        children.extend(children[0].meta["caption"])
        children.append(Token("figcaption_close", "figcaption", -1))

    def _link(self, href: str) -> str | None:
        """Where a link may lead; None when it may lead nowhere, which is then reported."""
        if href.startswith("#"):
            return f"#s-{slug(unquote(href[1:]))}"
        scheme = _scheme_of(href)
        if scheme in _SCHEMES:
            return href
        path, _, fragment = unquote(href).partition("#")
        address = None if scheme else self._look_up(path)
        if address is not None:
            return address + (f"#s-{slug(fragment)}" if fragment else "")
        why = f"links of the scheme {scheme!r} are not kept" if scheme else "no such lesson in the course"
        self._dangles(unquote(href), why)
        return None

    def _dangles(self, target: str, why: str) -> None:
        if len(self.dangling) < MAX_DANGLING:
            self.dangling.append(Dangling(target[:300], why))

    def _warn(self, words: str) -> None:
        if len(self.warnings) < pandoc.MAX_WARNINGS and words not in self.warnings:
            self.warnings.append(words)

    def _look_up(self, path: str) -> str | None:
        address = self._resolve(path)
        if address is not None:
            self._addresses.add(address)
        return address

    def _heading_id(self, text: str) -> str:
        base = f"s-{slug(text)[:80] or 'section'}"
        self._ids[base] = count = self._ids.get(base, 0) + 1
        return base if count == 1 else f"{base}-{count}"

    def _attribute(self, _tag: str, attribute: str, value: str) -> str | None:
        """Judge one attribute of the finished HTML, whoever wrote it."""
        match attribute:
            case "class":
                return " ".join(name for name in value.split() if _CLASS.fullmatch(name)) or None
            case "id":  # other ids could shadow what the page's script looks for
                return value if _ID.fullmatch(value) else None
            case "width" | "height":
                return value if _SIZE.fullmatch(value) else None
            case "src":
                return value if value in self._addresses else self._raw_figure(value)
            case "href":
                return value if value.partition("#")[0] in {"", *self._addresses} else self._link(value)
            case _:
                return value

    def _raw_figure(self, target: str) -> str | None:
        """A figure in the author's own HTML."""
        address = self._look_up(unquote(target))
        if address is None:
            self._dangles(target, "no such figure in the course")
        return address


def _scheme_of(href: str) -> str:
    """The scheme of an address in lower case; empty when it has none, `?` when it can't be read."""
    try:
        return urlsplit(href).scheme
    except ValueError:
        return "?"
