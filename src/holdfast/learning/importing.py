"""A course as its authors keep it, read into memory: pure, without a store.

Three layouts, told apart by what is there:

- a lesson of The Carpentries' Workbench: `config.yaml` (title, license, `episodes:` in order) with
  `episodes/*.md`, figures beside them, and `index.md`, whose first paragraph describes the course;
- `course.yaml` {id, title, description, licence, lessons: [files]} with Markdown files;
- Markdown files alone: lessons in the order of their names.

Faults (a missing file, YAML or a quiz that can't be read) refuse the whole course, all of them
named at once. Links that lead nowhere are told and leave the course usable.
"""

from __future__ import annotations

import posixpath
import re
import zlib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple, cast
from urllib.parse import quote

import yaml

from holdfast.core.errors import Rejected
from holdfast.learning.archive import Files, files_of_folder, files_of_zip, refused
from holdfast.learning.figures import Figure, asset_path, figure_of, is_figure
from holdfast.learning.markdown import Rendered, Resolve, render, slug
from holdfast.learning.quiz import Question, read_quiz

MAX_LESSONS: Final = 1000
MAX_LESSON_BYTES: Final = 128 * 1024
MAX_COURSE_BYTES: Final = 4 * 1024 * 1024
"""All of a course's lessons together; figures count for themselves."""
MAX_CONFIG_BYTES: Final = 64 * 1024
MAX_TITLE: Final = 200
MAX_DESCRIPTION: Final = 2_000
MAX_ID: Final = 64
COURSE_ID_PATTERN: Final = r"^[a-z0-9][a-z0-9-]{0,63}\Z"
RESERVED_IDS: Final = frozenset({"import"})
"""What stands where a course's id would in an address of the portal's own."""
_COURSE_ID: Final = re.compile(COURSE_ID_PATTERN)
_NO_LESSONS: Final = frozenset(
    {"index.md", "README.md", "LICENSE.md", "CONTRIBUTING.md", "CODE_OF_CONDUCT.md"}
)


class Dangling(NamedTuple):
    """A link that leads nowhere: in which file, what the author wrote, why it can't be followed."""

    file: str
    target: str
    why: str


class Lesson(NamedTuple):
    """One lesson, ready to be kept. `id` is its file's name without the ending: `01-basics`."""

    id: str
    title: str
    source: str
    html: str
    quiz: list[Question]


class CourseSource(NamedTuple):
    """A whole course in memory, its lessons in order."""

    id: str
    title: str
    description: str
    licence: str
    lessons: list[Lesson]
    figures: list[Figure]
    dangling: list[Dangling]
    warnings: list[str]


class Written(NamedTuple):
    """A lesson as somebody wrote it: its file's name, its Markdown, and what goes before its front matter."""

    file: str
    markdown: str
    title: str | None = None
    quiz: object = None


def read_course(where: Path | bytes, course_id: str | None = None) -> CourseSource:
    """Read a course from a folder, from a zip file, or from a zip's bytes.

    `course_id` goes before the id in `course.yaml`; without either it is made from the title.
    Raises Rejected `import_refused` that lists every fault.
    """
    if isinstance(where, bytes):
        return read_files(files_of_zip(where), course_id)
    zipped = where.is_file()
    files = files_of_zip(where.read_bytes()) if zipped else files_of_folder(where)
    return read_files(files, course_id, named=where.stem if zipped else where.resolve().name)


def demo_course() -> CourseSource:
    """The small course that comes with Holdfast."""
    with resources.as_file(resources.files("holdfast.demo") / "course") as folder:
        return read_course(folder)


def read_files(files: Files, course_id: str | None = None, named: str = "") -> CourseSource:
    """Read a course from its files; `named` is what it is called where no file tells.

    Raises Rejected `import_refused` that lists every fault.
    """
    files = dict(sorted(files.items()))
    faults: list[str] = []
    config = _config(files, faults)
    names = _lesson_files(files, config, faults)
    if not names and not faults:
        faults.append("it has no lessons (Markdown files, in the folder itself or in `episodes`)")
    if len(names) > MAX_LESSONS:
        raise refused([f"it has {len(names)} lessons, at most {MAX_LESSONS} are allowed"])
    if sum(len(files[name]) for name in names) > MAX_COURSE_BYTES:
        raise refused([f"its lessons are more than {MAX_COURSE_BYTES} bytes together"])
    texts = [(name, _text(name, files[name], faults)) for name in names]
    title = _words(config, "title", MAX_TITLE, faults)
    index = _index(files, faults)
    written = [Written(name, text) for name, text in texts if text is not None]
    stated = course_id or _words(config, "id", MAX_ID, faults) or None
    return compose(
        title=title or index.title or _spoken(named or names[0] if names else "course"),
        description=_words(config, "description", MAX_DESCRIPTION, faults) or index.summary[:MAX_DESCRIPTION],
        licence=_words(config, "licence", MAX_TITLE, faults) or _words(config, "license", MAX_TITLE, faults),
        written=written,
        figures={name: data for name, data in files.items() if is_figure(name)},
        course_id=stated,
        faults=faults,
    )


def compose(
    *,
    title: str,
    description: str,
    licence: str,
    written: Sequence[Written],
    figures: Files,
    course_id: str | None = None,
    faults: Sequence[str] = (),
) -> CourseSource:
    """A course from its parts. Raises Rejected `import_refused` that lists `faults` and its own."""
    all_faults = list(faults)
    identity = course_id or course_id_of(title)
    if not is_course_id(identity):
        all_faults.append(f"the id {identity[:80]!r} may hold a-z, 0-9 and - only, at most {MAX_ID}")
    if identity in RESERVED_IDS:
        all_faults.append(f"the id {identity!r} is an address of the portal's own: choose another")
    ids = _lesson_ids(written, all_faults)
    warnings: list[str] = []
    kept = _figures(figures, warnings)
    assets = {name: figure.path for name, figure in kept.items()}
    dangling: list[Dangling] = []
    lessons: list[Lesson] = []
    for item in written:
        page = render(item.markdown, _resolver(item.file, identity, ids, assets))
        dangling += [Dangling(item.file, *found) for found in page.dangling]
        warnings += [f"{item.file}: {words}" for words in page.warnings]
        lessons.append(_lesson(item, ids[item.file], page, all_faults))
    if all_faults:
        raise refused(all_faults)
    return CourseSource(
        identity, title, description, licence, lessons, list(kept.values()), dangling, warnings
    )


def course_id_of(title: str) -> str:
    """A course's id out of its title; a title without a Latin letter gets a number for it."""
    made = slug(title)[:MAX_ID].strip("-") or f"course-{zlib.crc32(title.encode()):08x}"
    return f"{made}-course" if made in RESERVED_IDS else made


def is_course_id(text: str) -> bool:
    """Whether a text can be a course's id."""
    return _COURSE_ID.fullmatch(text) is not None


def _config(files: Files, faults: list[str]) -> dict[str, Any]:
    for name in ("course.yaml", "course.yml", "config.yaml", "config.yml"):
        if name in files:
            text = _text(name, files[name], faults, MAX_CONFIG_BYTES)
            return _mapping(name, text, faults) if text is not None else {}
    return {}


def _mapping(name: str, text: str, faults: list[str]) -> dict[str, Any]:
    """A YAML mapping; what can't be read becomes a fault."""
    try:
        found = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        at = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        faults.append(f"{name}: YAML can't be read ({error.problem}{at})")
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        faults.append(f"{name}: YAML can't be read ({type(error).__name__}: {str(error)[:200]})")
    else:
        if isinstance(found, dict):
            return cast("dict[str, Any]", found)
        if found is not None:
            faults.append(f"{name}: holds no fields such as `title:`")
    return {}


def _words(config: dict[str, Any], field: str, limit: int, faults: list[str]) -> str:
    """A field's text; empty when it isn't there."""
    value = config.get(field)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        faults.append(f"`{field}` must be text")
        return ""
    if len(str(value)) > limit:
        faults.append(f"`{field}` is longer than {limit} characters")
    return str(value).strip()


def _lesson_files(files: Files, config: dict[str, Any], faults: list[str]) -> list[str]:
    """The lessons' files in order."""
    markdown = [name for name in files if PurePosixPath(name).suffix.lower() == ".md"]
    episodes = [name for name in markdown if PurePosixPath(name).parent.as_posix() == "episodes"]
    field = "lessons" if config.get("lessons") is not None else "episodes"
    listed = config.get(field)
    if listed is None:
        plain = [name for name in markdown if "/" not in name and name not in _NO_LESSONS]
        return episodes or plain
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        faults.append(f"`{field}` must be a list of file names")
        return []
    names: list[str] = []
    for name in listed:
        beside = f"episodes/{name}"
        found = beside if beside in files else name
        if found not in markdown:
            faults.append(f"{name[:200]!r} stands in `{field}` but there is no such Markdown file")
        elif found in names:
            faults.append(f"{name!r} stands in `{field}` twice")
        else:
            names.append(found)
    return names


def _text(name: str, data: bytes, faults: list[str], limit: int = MAX_LESSON_BYTES) -> str | None:
    """A file's text; None, and a fault, when there is none to be had."""
    if len(data) > limit:
        faults.append(f"{name}: is {len(data)} bytes, at most {limit} are allowed")
        return None
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        faults.append(
            f"{name}: is not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start} (line {line})"
        )
        return None


def _index(files: Files, faults: list[str]) -> Rendered:
    """The course's front page: not a lesson, but what it says of the course."""
    data = files.get("index.md")
    text = _text("index.md", data, faults) if data is not None else None
    return render(text or "", lambda path: path)


def _lesson_ids(written: Sequence[Written], faults: list[str]) -> dict[str, str]:
    """File -> lesson id. Ids stay as long as the file's name does, so progress does too."""
    ids: dict[str, str] = {}
    owners: dict[str, str] = {}
    for item in written:
        stem = PurePosixPath(item.file).stem
        identity = slug(stem)[:MAX_ID].strip("-") or f"lesson-{zlib.crc32(stem.encode()):08x}"
        if identity in owners:
            faults.append(f"{item.file} and {owners[identity]} would both be the lesson {identity!r}")
        owners.setdefault(identity, item.file)
        ids[item.file] = identity
    return ids


def _lesson(item: Written, identity: str, page: Rendered, faults: list[str]) -> Lesson:
    front: dict[str, Any] = {}
    if len(page.front_matter) > MAX_CONFIG_BYTES:
        faults.append(f"{item.file}: its front matter is longer than {MAX_CONFIG_BYTES} characters")
    elif page.front_matter:
        front = _mapping(item.file, page.front_matter, faults)
    own_faults: list[str] = []
    title = item.title or _words(front, "title", MAX_TITLE, own_faults) or page.title or _spoken(item.file)
    quiz = read_quiz(item.quiz if item.quiz is not None else front.get("quiz"))
    faults += [f"{item.file}: {words}" for words in (*own_faults, *quiz.faults)]
    return Lesson(identity, title[:MAX_TITLE], item.markdown, page.html, quiz.questions)


def _spoken(file: str) -> str:
    """`03-the-moon.md` as a title: `The moon`."""
    words = PurePosixPath(file).stem.lstrip("0123456789-_. ").replace("-", " ").replace("_", " ").strip()
    return (words[:1].upper() + words[1:]) or PurePosixPath(file).stem


def _figures(files: Files, warnings: list[str]) -> dict[str, Figure]:
    """File -> figure, without those that can't be let in, which are named."""
    kept: dict[str, Figure] = {}
    paths: dict[str, str] = {}
    for name, data in files.items():
        other = paths.get(asset_path(name))
        if other is not None:
            warnings.append(f"{name!r} is left out: {other!r} has its place")
            continue
        try:
            kept[name] = figure_of(name, data)
        except Rejected as fault:
            warnings.append(f"{fault.message}; it is left out")
        else:
            paths[asset_path(name)] = name
    return kept


def _resolver(file: str, course_id: str, ids: dict[str, str], assets: dict[str, str]) -> Resolve:
    """What a file's relative links lead to, as addresses of the portal."""
    folder = PurePosixPath(file).parent.as_posix()

    def lesson_at(path: str) -> str | None:
        stem, ending = posixpath.splitext(path)
        return ids.get(f"{stem}.md") if ending in (".md", ".html") else None

    def resolve(path: str) -> str | None:
        full = posixpath.normpath(posixpath.join(folder, path)) if path else file
        if full in assets:
            return f"/api/client/courses/{course_id}/assets/{quote(assets[full])}"
        lesson = lesson_at(full)
        return None if lesson is None else f"/courses/{course_id}/lessons/{lesson}"

    return resolve
