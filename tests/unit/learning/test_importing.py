from __future__ import annotations

import io
import random
import stat
import struct
import time
import zipfile
from pathlib import Path

import pytest

from holdfast.core.errors import Rejected
from holdfast.learning import archive
from holdfast.learning.importing import CourseSource, demo_course, read_course, read_files
from tests.unit.learning.classroom import as_bytes, zipped

PLAIN = {"course.yaml": "title: Knots\nlessons: [a.md]\n", "a.md": "# A\n\nText."}


def refusal(files: dict[str, str | bytes]) -> str:
    """The message with which files are refused."""
    with pytest.raises(Rejected) as caught:
        read_files({name: as_bytes(text) for name, text in files.items()})
    assert caught.value.code == "import_refused"
    assert caught.value.hint
    return caught.value.message


def zip_refusal(data: bytes) -> str:
    with pytest.raises(Rejected) as caught:
        read_course(data)
    assert caught.value.code == "import_refused"
    return caught.value.message


def read(files: dict[str, str | bytes]) -> CourseSource:
    return read_files({name: as_bytes(text) for name, text in files.items()})


# Whole courses


def test_a_real_course_comes_in_whole(shared_data: Path) -> None:
    course = read_course(shared_data / "courses" / "git-novice")
    assert (course.id, course.title) == ("version-control-with-git", "Version Control with Git")
    assert course.licence == "CC-BY 4.0"
    assert course.description.startswith("Jimmy and Alfredo have been hired by Ratatouille restaurant")
    assert [lesson.id for lesson in course.lessons][::13] == ["01-basics", "14-supplemental-rstudio"]
    assert len(course.lessons) == 14
    assert len(course.figures) == 22
    missing = [found.target for found in course.dangling if found.file.endswith("14-supplemental-rstudio.md")]
    assert len(missing) == 9
    assert "fig/RStudio_screenshot_newproject.png" in missing
    elsewhere = [found for found in course.dangling if "reference.md" in found.target]
    assert len(elsewhere) == 13
    assert len(course.dangling) == len(missing) + len(elsewhere)
    assert all(":::" not in lesson.html for lesson in course.lessons)
    assert 'href="/courses/version-control-with-git/lessons/13-hosting"' in course.lessons[6].html


def test_a_real_course_as_a_zip_of_its_folder_is_the_same_course(shared_data: Path) -> None:
    folder = shared_data / "courses" / "git-novice"
    files = {
        f"git-novice-main/{p.relative_to(folder)}": p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }
    assert read_course(zipped({**files})) == read_course(folder)


def test_the_demo_course_is_without_a_flaw() -> None:
    course = demo_course()
    assert (course.dangling, course.warnings) == ([], [])
    assert 4 <= len(course.lessons) <= 6
    assert sum(bool(lesson.quiz) for lesson in course.lessons) == 2
    assert [figure.path for figure in course.figures] == ["fig/tide-curve.svg"]
    assert course.licence == "CC0-1.0"


def test_a_folder_without_a_config_is_its_files_in_name_order(tmp_path: Path) -> None:
    folder = tmp_path / "knots-for-all"
    folder.mkdir()
    for name in ("02-the-bowline.md", "01-ropes.md", "README.md"):
        (folder / name).write_text("Text.")
    course = read_course(folder)
    assert (course.id, course.title) == ("knots-for-all", "Knots for all")
    assert [(lesson.id, lesson.title) for lesson in course.lessons] == [
        ("01-ropes", "Ropes"),
        ("02-the-bowline", "The bowline"),
    ]


def test_a_config_without_episodes_takes_all_of_them_in_name_order() -> None:
    course = read(
        {"config.yaml": "title: T\nepisodes:\n", "episodes/b.md": "b", "episodes/a.md": "a", "x.md": "x"}
    )
    assert [lesson.id for lesson in course.lessons] == ["a", "b"]


def test_figures_beside_the_episodes_and_above_them_are_both_found() -> None:
    course = read(
        {
            "config.yaml": "title: T\n",
            "episodes/a.md": "![](fig/in.png) ![](../fig/out.png)",
            "episodes/fig/in.png": b"1",
            "fig/out.png": b"2",
        }
    )
    assert course.dangling == []
    assert {figure.path for figure in course.figures} == {"fig/in.png", "fig/out.png"}


def test_a_title_without_latin_letters_gives_a_steady_id() -> None:
    first, second = (read({"course.yaml": "title: 潮汐\n", "a.md": "x"}).id for _ in range(2))
    assert first == second
    assert first.startswith("course-")


def test_an_id_that_is_an_address_of_the_portals_own_is_refused_by_name_and_never_made_of_a_title() -> None:
    assert "the id 'import' is an address" in refusal({"course.yaml": "id: import\n", "a.md": "x"})
    assert read({"course.yaml": "title: Import!\n", "a.md": "x"}).id == "import-course"


def test_windows_line_ends_and_a_byte_order_mark_are_read() -> None:
    course = read({"a.md": b"\xef\xbb\xbf---\r\ntitle: Hello\r\n---\r\ntext\r\n"})
    assert course.lessons[0].title == "Hello"
    assert course.lessons[0].html == "<p>text</p>\n"


# Faults


def test_every_fault_is_named_at_once() -> None:
    message = refusal(
        {
            "config.yaml": "title: [no]\nepisodes: [a.md, gone.md, b.md, c.md, c.md]\n",
            "episodes/a.md": b"fine\nnot \x93fine\x94",
            "episodes/b.md": "---\ntitle: [unclosed\n---\nx",
            "episodes/c.md": "---\nquiz:\n- prompt: p\n  choices: [x, y]\n  answer: z\n---\nx",
        }
    )
    assert "`title` must be text" in message
    assert "'gone.md' stands in `episodes` but there is no such Markdown file" in message
    assert "'c.md' stands in `episodes` twice" in message
    assert "episodes/a.md: is not UTF-8: byte 0x93 at offset 9 (line 2)" in message
    assert "episodes/b.md: YAML can't be read" in message
    assert "episodes/c.md: question 1: answer 'z' is not one of the choices" in message


@pytest.mark.parametrize(
    "files, words",
    [
        ({}, "it has no lessons"),
        ({"course.yaml": "title: T\nlessons: []\n"}, "it has no lessons"),
        ({"course.yaml": "just words", "a.md": "x"}, "holds no fields"),
        ({"course.yaml": "lessons: a.md", "a.md": "x"}, "`lessons` must be a list"),
        ({"course.yaml": "lessons: [../../etc/passwd]", "a.md": "x"}, "no such Markdown file"),
        ({"course.yaml": "id: ../x", "a.md": "x"}, "the id '../x' may hold"),
        (
            {"course.yaml": "title: x\n!!python/object/apply:os.system [id]", "a.md": "x"},
            "YAML can't be read",
        ),
        ({"course.yaml": "[" * 5_000, "a.md": "x"}, "YAML can't be read"),
        ({"a.md": "---\n- a\n---\nx"}, "a.md: holds no fields"),
        ({"a b.md": "x", "a-b.md": "x"}, "would both be the lesson 'a-b'"),
        ({"a.md": "x" * 200_000}, "a.md: is 200000 bytes"),
        ({"course.yaml": f"title: {'x' * 300}", "a.md": "x"}, "`title` is longer than 200"),
    ],
)
def test_a_faulty_course_is_refused_in_words(files: dict[str, str | bytes], words: str) -> None:
    assert words in refusal(files)


def test_a_yaml_bomb_does_no_harm() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    bomb = "\n".join([*lines, "title: *a11", "quiz: [{prompt: *a11, choices: [*a11, *a11], answer: *a11}]"])
    started_s = time.thread_time()
    assert "`title` must be text" in refusal({"course.yaml": bomb, "a.md": f"---\n{bomb}\n---\nx"})
    assert time.thread_time() - started_s < 2


# Quizzes


def quiz_of(yaml: str) -> CourseSource:
    return read({"a.md": f"---\nquiz:\n{yaml}\n---\nx"})


def test_an_answer_is_an_id_a_text_or_a_number_counted_from_one() -> None:
    choices = "choices: [{id: n, text: North}, {id: s, text: South}]"
    course = quiz_of(
        "\n".join(f"- {{prompt: p, {choices}, answer: {answer}}}" for answer in ("s", "South", "2", "[2, n]"))
    )
    answers = [question["answer"] for question in course.lessons[0].quiz]
    assert answers == [["s"], ["s"], ["s"], ["n", "s"]]
    assert [question["id"] for question in course.lessons[0].quiz] == ["q1", "q2", "q3", "q4"]


@pytest.mark.parametrize(
    "question, words",
    [
        ("- text", "must have a prompt"),
        ("- {prompt: p, choices: [a, b]}", "answer must be"),
        ("- {prompt: p, choices: [a], answer: 1}", "choices must be a list of 2 to 20"),
        (
            "- {prompt: p, choices: [a, b], answer: 0}",
            "answer '0' is not one of the choices (numbers count from 1)",
        ),
        ("- {prompt: p, choices: [a, b], answer: 3}", "answer '3' is not"),
        ("- {prompt: p, choices: [a, b], answer: []}", "answer must name a choice"),
        ("- {prompt: p, choices: [yes, no], answer: 1}", "choice 1 is read as true: put it in quotes"),
        ("- {prompt: '', choices: [a, b], answer: 1}", "prompt must be text"),
        ("- {prompt: p, choices: [a, b], answer: 1, hint: h}", "'hint' is not a field of a question"),
        ("- {id: 'a b', prompt: p, choices: [a, b], answer: 1}", "id 'a b' may hold"),
        (
            "- {prompt: p, choices: [{id: x, text: a}, {id: x, text: b}], answer: 1}",
            "two choices have the same id",
        ),
        ("- &q {id: x, prompt: p, choices: [a, b], answer: 1}\n- *q", "two questions have the id 'x'"),
        ("  not: a list", "quiz must be a list"),
    ],
)
def test_a_faulty_quiz_is_named_by_file_and_question(question: str, words: str) -> None:
    with pytest.raises(Rejected, match=r"a\.md: ") as caught:
        quiz_of(question)
    assert words in caught.value.message


# Zips


def raw_zip(name: str, data: bytes = b"x", *, mode: int = 0, flags: int = 0) -> bytes:
    """A zip with one member whose claims are made up."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        member = zipfile.ZipInfo(name)
        member.external_attr = mode << 16
        made.writestr(member, data)
        made.writestr("a.md", "# A")
    raw = bytearray(out.getvalue())
    if flags:
        central = raw.index(b"PK\x01\x02")
        raw[6:8] = raw[central + 8 : central + 10] = struct.pack("<H", flags)
    return bytes(raw)


@pytest.mark.parametrize(
    "data, words",
    [
        (raw_zip("../../evil.md"), "'../../evil.md' leads outside the zip"),
        (raw_zip("x/../../evil.md"), "leads outside the zip"),
        (raw_zip("/etc/passwd.md"), "'/etc/passwd.md' is an absolute path"),
        (raw_zip("C:/evil.md"), "is an absolute path"),
        (raw_zip("a\\..\\evil.md"), "has a backslash in its name"),
        (raw_zip("evil\x01.md"), "has a control character in its name"),
        (raw_zip("evil?.md").replace(b"evil?", b"evil\0"), "has a control character in its name"),
        (raw_zip("link.md", b"/etc/passwd", mode=stat.S_IFLNK | 0o777), "'link.md' is a symbolic link"),
        (raw_zip("pipe.md", mode=stat.S_IFIFO | 0o666), "is not a plain file"),
        (raw_zip("secret.md", flags=0x1), "'secret.md' is encrypted"),
        (raw_zip("x" * 400 + ".md"), "has a name that is too long"),
        (b"", "the zip can't be read"),
        (b"PK\x03\x04 not a zip", "the zip can't be read"),
        (raw_zip("b.md")[:-30], "the zip can't be read"),
        (
            zipped({"bomb.md": b"0" * 5_000_000, "a.md": "x"}),
            "'bomb.md' unpacks to more than 200 times its size",
        ),
        (zipped({f"{n}.md": "x" for n in range(2_001)}), "the zip holds 2001 files"),
        (zipped({"readme.txt": "no course"}), "it has no lessons"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_hostile_or_broken_zip_is_refused_by_name(data: bytes, words: str) -> None:
    assert words in zip_refusal(data)


def test_a_zip_that_names_a_file_twice_is_refused() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("a.md", "one")
        with pytest.warns(UserWarning, match="Duplicate"):
            made.writestr("a.md", "two")
    assert "'a.md' stands in the zip twice" in zip_refusal(out.getvalue())


def test_a_zip_that_unpacks_to_too_much_is_refused_before_it_is_unpacked() -> None:
    raw = bytearray(raw_zip("big.png"))
    central = raw.index(b"PK\x01\x02")
    raw[central + 24 : central + 28] = struct.pack("<I", archive.MAX_UNPACKED_BYTES + 1)
    assert "the zip unpacks to" in zip_refusal(bytes(raw))


def test_a_zip_that_lies_about_a_size_is_refused() -> None:
    raw = bytearray(zipped({"a.md": "x" * 10_000}))
    central = raw.index(b"PK\x01\x02")
    raw[central + 24 : central + 28] = struct.pack("<I", 10)
    assert "the zip can't be read" in zip_refusal(bytes(raw))


def test_a_damaged_zip_gives_a_course_or_a_refusal_and_nothing_else() -> None:
    draw = random.Random(11)
    whole = zipped({"course.yaml": PLAIN["course.yaml"], "a.md": PLAIN["a.md"], "fig/x.png": b"\x89PNG" * 50})
    refused = 0
    for _ in range(500):
        raw = bytearray(whole)
        for _ in range(draw.randint(1, 4)):
            raw[draw.randrange(len(raw))] = draw.randrange(256)
        try:
            read_course(bytes(raw))
        except Rejected:
            refused += 1
    assert 0 < refused < 500


def test_a_folder_with_a_symbolic_link_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("x")
    (tmp_path / "b.md").symlink_to("/etc/passwd")
    with pytest.raises(Rejected, match=r"'b\.md' is a symbolic link"):
        read_course(tmp_path)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="'gone' is not a folder"):
        read_course(tmp_path / "gone")


# Figures

SVG = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">{}</svg>'


@pytest.mark.parametrize(
    "drawing, words",
    [
        (SVG.format("<script>alert(1)</script>"), "holds <script>"),
        (SVG.format('<s:script xmlns:s="http://www.w3.org/2000/svg">x</s:script>'), "holds <script>"),
        (SVG.format('<rect onload="alert(1)"/>'), "holds the handler onload"),
        (SVG.format('<rect onLoad="alert(1)"/>'), "holds the handler onload"),
        (SVG.format('<a xlink:href=" javascript:alert(1)"><rect/></a>'), "holds a script in href"),
        (SVG.format("<foreignObject><b/></foreignObject>"), "holds <foreignobject>"),
        (SVG.format('<set attributeName="onclick" to="x"/>'), "holds an animation of the handler onclick"),
        ('<!DOCTYPE svg [<!ENTITY a "x">]>' + SVG.format("&a;"), "declares the entity 'a'"),
        ('<?xml-stylesheet href="x.css"?>' + SVG.format(""), "asks for a style sheet"),
        ("<svg", "is not readable as SVG"),
    ],
)
def test_a_drawing_that_can_act_is_left_out_by_name(drawing: str, words: str) -> None:
    course = read({"a.md": "![](x.svg)", "x.svg": drawing})
    assert course.figures == []
    assert [words in warning and "'x.svg'" in warning for warning in course.warnings] == [True]
    assert [found.target for found in course.dangling] == ["x.svg"]


def test_a_drawing_with_a_script_in_another_encoding_is_left_out_too() -> None:
    drawing = '<?xml version="1.0" encoding="UTF-16"?>' + SVG.format("<script>alert(1)</script>")
    course = read({"a.md": "x", "x.svg": drawing.encode("utf-16")})
    assert course.figures == []
