"""A lesson's questions: as authors write them, and as they are kept.

Written, in a lesson's front matter or an admin's request:

    quiz:
      - prompt: When is the water lowest?
        choices: [At high tide, At low tide]
        answer: 2

`answer` is a choice's id, its text, its number counted from 1, or a list of these. Kept:
{id, prompt, choices: [{id, text}], answer: [choice id]}.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

MAX_QUESTIONS: Final = 50
MAX_CHOICES: Final = 20
MAX_TEXT: Final = 1_000
_MIN_CHOICES: Final = 2
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_LETTERS: Final = "abcdefghijklmnopqrst"
_FIELDS: Final = frozenset({"id", "prompt", "choices", "answer"})

Question = dict[str, Any]
"""{id, prompt, choices: [{id, text}], answer: [choice id]}, as the column `lessons.quiz` holds it."""


class Quiz(NamedTuple):
    """What came of a quiz: the questions, and what is wrong with it, in words."""

    questions: list[Question]
    faults: list[str]


def read_quiz(written: object) -> Quiz:
    """Check and complete a quiz. A quiz with any fault has no questions."""
    if written is None:
        return Quiz([], [])
    if not isinstance(written, list):
        return Quiz([], ["quiz must be a list of questions"])
    if len(written) > MAX_QUESTIONS:
        return Quiz([], [f"quiz holds {len(written)} questions, at most {MAX_QUESTIONS} are allowed"])
    questions: list[Question] = []
    faults: list[str] = []
    for number, item in enumerate(written, start=1):
        try:
            questions.append(_question(item, number))
        except _Fault as fault:
            faults.append(f"question {number}: {fault}")
    ids = [question["id"] for question in questions]
    faults += [f"two questions have the id {name!r}" for name in sorted({i for i in ids if ids.count(i) > 1})]
    return Quiz([], faults) if faults else Quiz(questions, [])


class _Fault(Exception):
    """One question can't be used; the text says why."""


def _question(item: object, number: int) -> Question:
    if not isinstance(item, dict):
        raise _Fault("must have a prompt, choices and an answer")
    strange = sorted(str(key) for key in item if key not in _FIELDS)
    if strange:
        raise _Fault(f"{strange[0]!r} is not a field of a question (id, prompt, choices, answer are)")
    name = _id(item["id"], "id") if item.get("id") is not None else f"q{number}"
    choices = _choices(item.get("choices"))
    return {
        "id": name,
        "prompt": _text(item.get("prompt"), "prompt"),
        "choices": choices,
        "answer": _answers(item.get("answer"), choices),
    }


def _text(value: object, what: str) -> str:
    if isinstance(value, bool):  # YAML reads yes, no, on and off so
        raise _Fault(f"{what} is read as {str(value).lower()}: put it in quotes")
    if isinstance(value, int | float):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise _Fault(f"{what} must be text")
    if len(value) > MAX_TEXT:
        raise _Fault(f"{what} is longer than {MAX_TEXT} characters")
    return value.strip()


def _id(value: object, what: str) -> str:
    name = _text(value, what)
    if _ID.fullmatch(name) is None:
        raise _Fault(f"{what} {name!r} may hold letters, digits, - and _ only, at most 64")
    return name


def _choices(value: object) -> list[dict[str, str]]:
    if not isinstance(value, list) or not _MIN_CHOICES <= len(value) <= MAX_CHOICES:
        raise _Fault(f"choices must be a list of {_MIN_CHOICES} to {MAX_CHOICES}")
    choices = [_choice(item, number) for number, item in enumerate(value, start=1)]
    ids = {choice["id"] for choice in choices}
    if len(ids) != len(choices):
        raise _Fault("two choices have the same id")
    return choices


def _choice(item: object, number: int) -> dict[str, str]:
    what = f"choice {number}"
    if not isinstance(item, dict):
        return {"id": _LETTERS[number - 1], "text": _text(item, what)}
    if set(item) != {"id", "text"}:
        raise _Fault(f"{what} must be text, or have an id and a text")
    return {"id": _id(item["id"], f"{what}: id"), "text": _text(item["text"], what)}


def _answers(value: object, choices: list[dict[str, str]]) -> list[str]:
    wanted = value if isinstance(value, list) else [value]
    if not wanted or len(wanted) > len(choices):
        raise _Fault("answer must name a choice, or a list of choices")
    found = {_answer(item, choices) for item in wanted}
    return [choice["id"] for choice in choices if choice["id"] in found]


def _answer(value: object, choices: list[dict[str, str]]) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _Fault("answer must be a choice's id, text (in quotes) or number, counted from 1")
    for key in ("id", "text"):
        for choice in choices:
            if choice[key] == str(value):
                return choice["id"]
    if isinstance(value, int) and 1 <= value <= len(choices):
        return choices[value - 1]["id"]
    raise _Fault(f"answer {str(value)[:80]!r} is not one of the choices (numbers count from 1)")
