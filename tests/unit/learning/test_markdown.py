from __future__ import annotations

import random
import re
import time
from html.parser import HTMLParser

import pytest

from holdfast.learning.markdown import MAX_RAW_TAGS, Rendered, render

FIGURES = {"fig/a.png": "/api/client/courses/c/assets/fig/a.png"}
LESSONS = {"05-history.md": "/courses/c/lessons/05-history"}


def resolve(path: str) -> str | None:
    return (FIGURES | LESSONS).get(path)


def html_of(source: str) -> str:
    return render(source, resolve).html


class Danger(HTMLParser):
    """Lists what a browser could act on: judged from outside, with another parser."""

    SAFE_HREF = re.compile(r"(https?://|mailto:|#|/courses/c/lessons/|/api/client/courses/c/assets/)")

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {
            "script",
            "style",
            "iframe",
            "object",
            "embed",
            "form",
            "input",
            "svg",
            "math",
            "base",
            "meta",
            "link",
        }:
            self.found.append(tag)
        for name, value in attrs:
            if name.startswith("on") or name in {
                "style",
                "srcset",
                "srcdoc",
                "formaction",
                "action",
                "xlink:href",
            }:
                self.found.append(f"{tag} {name}")
            if name == "href" and value and not self.SAFE_HREF.match(value):
                self.found.append(f"{tag} {name}={value}")
            if name == "src" and not str(value).startswith("/api/client/courses/c/assets/"):
                self.found.append(f"{tag} {name}={value}")


def dangers(html: str) -> list[str]:
    reader = Danger()
    reader.feed(html)
    return reader.found


HOSTILE = [
    "<script>alert(1)</script>",
    "<ScRiPt src=//evil.example/x.js></ScRiPt >",
    "<img src=x onerror=alert(1)>",
    "<img src=fig/a.png onerror=alert(1)>",
    "<svg onload=alert(1)><script>alert(1)</script></svg>",
    "<math><mi xlink:href='javascript:alert(1)'>x</mi></math>",
    "<iframe src='https://evil.example'></iframe>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<style>body{background:url(https://evil.example)}</style>",
    "<p style='position:fixed;inset:0'>x</p>",
    "<a href='javascript:alert(1)'>x</a>",
    "<a href='java\tscript:alert(1)'>x</a>",
    "<a href=' javascript:alert(1)'>x</a>",
    "<a href='&#106;avascript:alert(1)'>x</a>",
    "<a href='//evil.example/x'>x</a>",
    "<a href='\\\\evil.example'>x</a>",
    "<a href='/api/auth/logout'>x</a>",
    "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
    "<form action=/api/auth/logout><input type=submit></form>",
    "<base href='https://evil.example/'>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<link rel=stylesheet href=https://evil.example/x.css>",
    "<object data='x.swf'></object><embed src='x.swf'>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<template><script>alert(1)</script></template>",
    "<textarea></textarea><script>alert(1)</script>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:x)",
    "[x](file:///etc/passwd)",
    "[x](//evil.example)",
    "![x](javascript:alert(1))",
    "![x](data:image/svg+xml;base64,PHN2Zz4=)",
    "![x](https://evil.example/beacon.png)",
    "![x](fig/a.png){onerror='alert(1)' style='x' src='https://evil.example'}",
    "[x](05-history.md){onclick='alert(1)'}",
    "<javascript:alert(1)>",
    '!["><script>alert(1)</script>](missing.png)',
    "![](missing.png){alt='\"><script>alert(1)</script>'}",
    '::: challenge"><script>alert(1)</script>\nx\n:::',
    "::: {.x onclick=alert(1)}\nx\n:::",
    '```"><script>alert(1)</script>\nx\n```',
    "# <script>alert(1)</script>",
    "[^1]\n\n[^1]: <img src=x onerror=alert(1)>",
    "|a|\n|-|\n|<img src=x onerror=alert(1)>|",
    "</div></details><script>alert(1)</script>",
    "<!--><script>alert(1)</script>-->",
    "<![CDATA[><script>alert(1)</script>]]>",
]


@pytest.mark.parametrize("source", HOSTILE)
def test_a_hostile_source_leaves_nothing_a_browser_would_act_on(source: str) -> None:
    assert dangers(html_of(source)) == []
    assert dangers(html_of(f"- > {source}\n\n::: hint\n{source}\n:::\n")) == []


def test_the_judge_of_these_tests_can_fail() -> None:
    assert len(dangers("<script></script><img src=x onerror=y><a href='javascript:x'>z</a>")) == 4


def test_hostile_pieces_in_any_order_leave_nothing_a_browser_would_act_on() -> None:
    draw = random.Random(7)
    glue = [
        "\n",
        "\n\n",
        " ",
        "> ",
        "- ",
        "::: solution\n",
        ":::\n",
        "`",
        "```\n",
        "|",
        "<",
        ">",
        '"',
        "'",
        "{",
        "}",
        "](",
    ]
    for _ in range(400):
        source = "".join(draw.choice(HOSTILE) + draw.choice(glue) for _ in range(draw.randint(2, 8)))
        assert dangers(html_of(source)) == [], source


BOMBS = {
    "quotations": ">" * 10_000 + " x",
    "quotations, line by line": "\n".join(">" * depth for depth in range(1, 400)),
    "divs": "::: challenge\n" * 10_000 + ":::\n" * 10_000,
    "closing fences": ":::\n" * 20_000,
    "spaces after a fence": ":::" + " " * 100_000 + "x",
    "lists": "- " * 20_000 + "x",
    "brackets": "[" * 30_000,
    "images": "![" * 15_000,
    "emphasis": "*a_" * 30_000,
    "backticks": " ".join("`" * length for length in range(1, 500)),
    "attributes": "![](a){a='" * 5_000,
    "html": "<div>" * 25_000,
    "html in a line": "x " + "<b>" * 40_000,
    "braces": "{%" * 50_000,
    "footnotes": "[^a]" * 5_000 + "\n\n[^a]: x",
    "headings of one name": "## a\n" * 20_000,
    "table": "|" * 20_000 + "\n" + "|-" * 20_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_renders_in_seconds(name: str) -> None:
    started_s = time.thread_time()
    html = html_of(BOMBS[name])
    assert time.thread_time() - started_s < 10
    assert dangers(html) == []


def test_more_html_than_a_lesson_has_is_shown_as_text() -> None:
    page = render("<div>" * (MAX_RAW_TAGS + 1), resolve)
    assert "<div" not in page.html
    assert "&lt;div" in page.html
    assert page.warnings == [f"more than {MAX_RAW_TAGS} HTML tags; they are shown as text"]


# Divs


def test_any_fence_of_three_colons_closes_the_innermost_div() -> None:
    page = render(
        "::::::::::: challenge\n\n## Try it\n\nDo.\n\n::::: solution\n\nDone.\n\n::::::::::::::::\n\n"
        "More.\n\n:::\n\nAfter.",
        resolve,
    )
    assert re.sub(r"\n", "", page.html) == (
        '<div class="callout callout-challenge"><h2 class="callout-title" id="s-try-it">Try it</h2><p>Do.</p>'
        '<details class="callout callout-solution"><summary>Solution</summary><p>Done.</p></details>'
        "<p>More.</p></div><p>After.</p>"
    )
    assert page.warnings == []


@pytest.mark.parametrize("kind", ["solution", "hint", "spoiler"])
def test_what_the_learner_should_open_is_folded(kind: str) -> None:
    html = html_of(f"::: {kind}\nx\n:::")
    assert html.startswith(
        f'<details class="callout callout-{kind}">\n<summary>{kind.capitalize()}</summary>'
    )


def test_a_folded_div_takes_its_summary_from_its_own_heading() -> None:
    assert "<summary>The <em>long</em> way</summary>" in html_of("::: solution\n## The *long* way\nx\n:::")


def test_blocks_for_instructors_are_left_out_whole() -> None:
    html = html_of(
        "a\n\n::: instructor\nsay this\n\n::: challenge\n[n](05-history.md)\n:::\n\nand this\n:::\n\nb"
    )
    assert html == "<p>a</p>\n<p>b</p>\n"


def test_a_div_that_is_never_closed_ends_with_the_page_and_is_told() -> None:
    page = render("::: challenge\n\nx", resolve)
    assert page.html.rstrip().endswith("</div>")
    assert page.warnings == ["a 'challenge' block is never closed"]


def test_a_fence_that_closes_nothing_is_told_with_its_line() -> None:
    page = render("a\n\n:::\n\nb", resolve)
    assert page.html == "<p>a</p>\n<p>b</p>\n"
    assert page.warnings == ["line 3: a fence closes a block that is not open"]


def test_a_div_opened_in_a_list_item_ends_with_it() -> None:
    html = html_of("- one\n\n  ::: hint\n  x\n- two\n")
    assert html.index("</details>") < html.index("two")


def test_fences_in_code_are_code() -> None:
    assert html_of("```\n::: challenge\n:::\n```") == "<pre><code>::: challenge\n:::\n</code></pre>\n"


def test_pandocs_braces_name_a_div_too() -> None:
    assert 'class="callout callout-checklist"' in html_of("::: {#x .checklist key=v}\nx\n:::")


# Figures and links


def test_a_figure_has_its_address_its_alternative_text_and_its_caption() -> None:
    source = '![A *fine* drawing](fig/a.png){alt=\'It\\\'s "here" {so}\' width="40%"}'
    assert html_of(source) == (
        '<figure><img src="/api/client/courses/c/assets/fig/a.png" '
        'alt="It\'s &quot;here&quot; {so}" width="40%">'
        "<figcaption>A <em>fine</em> drawing</figcaption></figure>\n"
    )


def test_a_figure_that_is_missing_is_shown_as_its_alternative_text_and_told() -> None:
    page = render("![](fig/gone.png){alt='Two <boats>'}", resolve)
    assert page.html == '<p><span class="missing-figure">Two &lt;boats&gt;</span></p>\n'
    assert [tuple(found) for found in page.dangling] == [("fig/gone.png", "no such figure in the course")]


def test_a_figure_on_another_server_is_told_and_not_fetched() -> None:
    page = render("![x](https://other.example/x.png)", resolve)
    assert "other.example" not in page.html
    assert page.dangling[0].why == "figures must be part of the course"


def test_a_link_to_a_lesson_leads_to_its_page_and_heading() -> None:
    assert 'href="/courses/c/lessons/05-history#s-the-log"' in html_of("[x](05-history.md#the-log)")


def test_a_link_that_leads_nowhere_stays_as_text_and_is_told() -> None:
    page = render("see [the *reference*](../learners/reference.md#x) now", resolve)
    assert page.html == "<p>see the <em>reference</em> now</p>\n"
    assert [tuple(found) for found in page.dangling] == [
        ("../learners/reference.md#x", "no such lesson in the course")
    ]


def test_links_and_figures_in_the_authors_html_are_put_right_too() -> None:
    page = render(
        '<a href="05-history.md">a</a> <img src="fig/a.png"> <img src="no.png"> <a href="no.md">b</a>',
        resolve,
    )
    assert 'href="/courses/c/lessons/05-history"' in page.html
    assert 'src="/api/client/courses/c/assets/fig/a.png"' in page.html
    assert {found.target for found in page.dangling} == {"no.png", "no.md"}


def test_a_link_outside_gives_no_opener_and_no_referrer() -> None:
    assert html_of("[x](https://a.example/)") == (
        '<p><a href="https://a.example/" rel="noopener noreferrer">x</a></p>\n'
    )


def test_ids_that_could_shadow_the_pages_own_are_dropped() -> None:
    assert "id=" not in html_of('<p id="app">x</p>\n\n<img id="main">')


# The rest


def test_leftovers_of_other_systems_stay_as_text_and_are_told() -> None:
    page = render("a {% include x %} b {{ site.url }} c\n\nd\n{: .callout}\n\n`{{ code }}`", resolve)
    assert "{% include x %}" in page.html
    assert len(page.warnings) == 3


def test_a_grid_table_keeps_its_pitch_and_is_told() -> None:
    page = render("+---+---+\n| a | b |\n+---+---+", resolve)
    assert page.html == "<pre><code>+---+---+\n| a | b |\n+---+---+\n</code></pre>\n"
    assert "grid table" in page.warnings[0]


def test_tables_keep_their_alignment_without_style_attributes() -> None:
    assert '<td class="align-right">1</td>' in html_of("|a|\n|-:|\n|1|")


def test_front_matter_is_not_shown_and_the_first_heading_is_the_title() -> None:
    page: Rendered = render("---\nquiz: secret\n---\n# The *title*\n\nFirst\nparagraph.\n\n# Next", resolve)
    assert (page.title, page.front_matter, page.summary) == ("The title", "quiz: secret", "First paragraph.")
    assert page.html == '<p>First\nparagraph.</p>\n<h2 id="s-next">Next</h2>\n'


@pytest.mark.parametrize(
    "source", ["", "\n", "---", "---\n---", ":::", "\0", "\ufeff# x", "{", "![](", "[^1]"]
)
def test_scraps_render(source: str) -> None:
    assert isinstance(html_of(source), str)
