import msgspec
import pytest

from holdfast.learning.analytics import AnalyticsRecorded
from holdfast.learning.progress import ID_PATTERN, LessonCompleted, LessonProgressed

GOOD = ["a", "7", "git-novice", "a.b_c-D", "x" * 128]
BAD = ["", "-a", ".a", "_a", "a b", "a/b", "a\n", "ä", "a\u0000", "x" * 129]
TWICE = [0, 1]
"""What is remembered of a text must not change the answer."""


@pytest.mark.parametrize("text", GOOD)
def test_what_can_be_an_id_is_one_the_first_time_and_again(text: str) -> None:
    for _ in TWICE:
        body = {"courseId": text, "lessonId": text, "percent": 1}
        assert msgspec.convert(body, LessonProgressed).course_id == text
        assert msgspec.convert({"courseId": text, "lessonId": text}, LessonCompleted).lesson_id == text
        assert msgspec.convert({"name": "n", "lessonId": text}, AnalyticsRecorded).lesson_id == text


@pytest.mark.parametrize("text", BAD)
@pytest.mark.parametrize("field", ["courseId", "lessonId"])
def test_what_can_not_is_refused_by_name_the_first_time_and_again(text: str, field: str) -> None:
    place = {"courseId": "good", "lessonId": "good"} | {field: text}
    for _ in TWICE:
        for body, kind in (
            (place | {"percent": 1}, LessonProgressed),
            (place, LessonCompleted),
            (place | {"name": "n"}, AnalyticsRecorded),
        ):
            with pytest.raises(msgspec.ValidationError, match=field):
                msgspec.convert(body, kind)


@pytest.mark.parametrize("text", BAD)
def test_a_session_is_named_by_an_id_too(text: str) -> None:
    span = {"sessionId": text, "fromS": 0, "toS": 1}
    body = {"courseId": "good", "lessonId": "good", "percent": 1, "interval": span}
    for _ in TWICE:
        with pytest.raises(msgspec.ValidationError, match="sessionId"):
            msgspec.convert(body, LessonProgressed)


@pytest.mark.parametrize("text", ["", "1a", "_a", "a b", "a\n", "ä", "x" * 101])
def test_an_event_s_name_begins_with_a_letter_and_is_short(text: str) -> None:
    for _ in TWICE:
        with pytest.raises(msgspec.ValidationError, match="name must be"):
            msgspec.convert({"name": text}, AnalyticsRecorded)


def test_senders_read_the_rule_in_the_schema() -> None:
    shapes = msgspec.json.schema_components([LessonProgressed, AnalyticsRecorded])[1]
    assert shapes["LessonProgressed"]["properties"]["courseId"]["pattern"] == ID_PATTERN
    assert shapes["Interval"]["properties"]["sessionId"]["pattern"] == ID_PATTERN
    either = shapes["AnalyticsRecorded"]["properties"]["lessonId"]["anyOf"]
    assert ID_PATTERN in [each.get("pattern") for each in either]
    assert "pattern" in shapes["AnalyticsRecorded"]["properties"]["name"]
