from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from sqlalchemy import insert, select

from holdfast.access.principal import Membership, Principal, Role
from holdfast.core.errors import Rejected
from holdfast.learning.courses import change_course, put_course
from holdfast.learning.lessons import Reader, asset_for, course_for, lesson_for, my_courses
from holdfast.store import schema
from holdfast.store.port import Tx
from holdfast.store.sqlite import SqliteStore
from holdfast.web.calls import Answer, Ask, Call
from holdfast.web.portal import Portal
from holdfast.web.routes import courses as course_routes
from holdfast.web.routes import learner as learner_routes
from tests.unit.learning.classroom import ADA, BEN, CLEO, LATER, NOW, assign, course, school, zipped


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    """Course `knots` in tidewater, assigned to ada; another `knots` in highland, assigned to nobody."""
    with school() as made:
        with made.transaction("tidewater") as tx:
            put_course(tx, course(), "tidewater", NOW)
            assign(tx, "ada", "knots", due_at=LATER, note="Before the trip")
        with made.transaction("highland") as tx:
            put_course(tx, course(**{"01-one.md": "HIGHLAND"}), "highland", NOW)
        yield made


def answer(tx: Tx, event_id: str, choice: str, at: str, question: str = "colour") -> None:
    row = {"user_id": "ada", "course_id": "knots", "lesson_id": "02-two", "question_id": question}
    row |= {"event_id": event_id, "received_at": at}
    tx.run(insert(schema.answers).values(**row, choice_ids=[choice], correct=choice == "g"))


def code_of(read: Callable[[], object]) -> str:
    with pytest.raises(Rejected) as caught:
        read()
    return caught.value.code


READS: list[Callable[[Tx, Reader], object]] = [
    lambda tx, who: course_for(tx, who, "knots"),
    lambda tx, who: lesson_for(tx, who, "knots", "01-one"),
    lambda tx, who: asset_for(tx, who, "knots", "fig/rope.png"),
]


@pytest.mark.parametrize("read", READS)
def test_a_learner_reads_what_is_assigned_and_nothing_else(
    store: SqliteStore, read: Callable[[Tx, Reader], object]
) -> None:
    with store.transaction("tidewater") as tx:
        assert read(tx, ADA)
        assert read(tx, BEN)
        assert code_of(lambda: read(tx, CLEO)) == "not_found"
        tx.run(schema.assignments.update().values(active=False))
        assert code_of(lambda: read(tx, ADA)) == "not_found"
    with store.transaction("highland") as tx:
        # ada's assignment in tidewater opens nothing in highland
        assert code_of(lambda: read(tx, ADA)) == "not_found"


def test_what_is_not_there_and_what_is_not_yours_sound_the_same(store: SqliteStore) -> None:
    with store.transaction("tidewater") as tx:
        with pytest.raises(Rejected) as hidden:
            course_for(tx, CLEO, "knots")
        with pytest.raises(Rejected) as absent:
            course_for(tx, CLEO, "gone")
    assert hidden.value.message.replace("knots", "gone") == absent.value.message


def test_the_list_of_courses_shows_due_time_note_and_the_mean_of_percents(store: SqliteStore) -> None:
    with store.transaction("tidewater") as tx:
        row = {
            "user_id": "ada",
            "course_id": "knots",
            "completed_at": None,
            "position_s": 3.0,
            "last_at": NOW,
        }
        row |= {"position_key": "", "completed": False}
        tx.run(insert(schema.progress).values(**row, lesson_id="01-one", percent=50.0))
        tx.run(insert(schema.progress).values(**row, lesson_id="gone", percent=100.0))
        [card] = my_courses(tx, ADA)
        page = course_for(tx, ADA, "knots")
        lesson = lesson_for(tx, ADA, "knots", "01-one")
    assert (card.percent, card.lesson_count, card.completed_lessons) == (25.0, 2, 0)
    assert (card.assigned, card.due_at, card.note) == (True, LATER, "Before the trip")
    assert [(each.id, each.percent, each.has_quiz) for each in page.lessons] == [
        ("01-one", 50.0, False),
        ("02-two", 0.0, True),
    ]
    assert (lesson.progress.percent, lesson.progress.position_s) == (50.0, 3.0)


def test_an_admin_sees_all_courses_of_the_org_as_not_assigned(store: SqliteStore) -> None:
    with store.transaction("tidewater") as tx:
        assert [(card.id, card.assigned) for card in my_courses(tx, BEN)] == [("knots", False)]
        assert my_courses(tx, CLEO) == []


def test_an_archived_course_is_put_away_for_learners(store: SqliteStore) -> None:
    with store.transaction("tidewater") as tx:
        change_course(tx, "knots", {"archived": True}, NOW)
        assert my_courses(tx, ADA) == []
        assert code_of(lambda: course_for(tx, ADA, "knots")) == "not_found"
        assert course_for(tx, BEN, "knots").title == "Knots"


def test_lessons_know_their_neighbours(store: SqliteStore) -> None:
    with store.transaction("tidewater") as tx:
        first, second = (lesson_for(tx, ADA, "knots", name) for name in ("01-one", "02-two"))
    assert (first.previous_lesson_id, first.next_lesson_id) == (None, "02-two")
    assert (second.previous_lesson_id, second.next_lesson_id) == ("01-one", None)


def test_a_lesson_that_is_not_in_the_course_is_not_found(store: SqliteStore) -> None:
    with store.transaction("tidewater") as tx:
        assert code_of(lambda: lesson_for(tx, ADA, "knots", "99-gone")) == "not_found"
        assert code_of(lambda: asset_for(tx, ADA, "knots", "../course.yaml")) == "not_found"


def test_the_right_answer_never_leaves_the_server(store: SqliteStore) -> None:
    with store.transaction("tidewater") as tx:
        kept = tx.rows(select(schema.lessons.c.quiz).where(schema.lessons.c.id == "02-two"))[0].quiz
        page = lesson_for(tx, ADA, "knots", "02-two")
    assert kept[0]["answer"] == ["g"]
    assert page.quiz is not None
    [question] = msgspec.to_builtins(page.quiz)["questions"]
    assert question == {
        "id": "colour",
        "prompt": "What colour is the buoy?",
        "choices": [{"id": "r", "text": "Red"}, {"id": "g", "text": "Green"}],
        "multiple": False,
    }
    assert "answer:" not in page.html
    assert b'"answer"' not in msgspec.json.encode(page)


def test_the_latest_answer_is_shown_with_whether_it_was_right(store: SqliteStore) -> None:
    with store.transaction("tidewater") as tx:
        answer(tx, "e2", "g", LATER)
        answer(tx, "e1", "r", NOW)
        answer(tx, "e3", "g", LATER, question="no-longer-asked")
        page = lesson_for(tx, ADA, "knots", "02-two")
    assert [(each.question_id, each.choice_ids, each.correct) for each in page.answers] == [
        ("colour", ["g"], True)
    ]


# Through the routes


def ask(store: SqliteStore, who: str, role: Role, org: str = "tidewater", **more: Any) -> Ask:  # noqa: ANN401
    """A request as the app hands it to a handler."""
    seat = Membership(org_id=org, name=org, roles=(role,))
    principal = Principal(user_id=who, name=who, email=f"{who}@x.example", orgs=(seat,), org=org)
    portal = cast("Portal", SimpleNamespace(store=store, now=lambda: LATER))
    usual: dict[str, Any] = {"body": None, "query": None, "path": {}, "headers": {}, "client": "127.0.0.1"}
    return Ask(portal=portal, who=principal, org=org, **(usual | more))


async def test_a_figure_comes_with_its_tag_and_headers_that_tame_a_drawing(store: SqliteStore) -> None:
    path = {"course_id": "knots", "path": "fig/rope.png"}
    got: Answer = await learner_routes.show_asset(ask(store, "ada", "learner", path=path))
    assert (got.content, got.media_type) == (b"\x89PNG rope", "image/png")
    assert got.headers["X-Content-Type-Options"] == "nosniff"
    assert got.headers["Content-Security-Policy"].startswith("sandbox;")
    assert got.headers["Cache-Control"].startswith("private")
    held = {"if-none-match": f'"other", W/{got.headers["ETag"]}'}
    again: Answer = await learner_routes.show_asset(ask(store, "ada", "learner", path=path, headers=held))
    assert (again.status, again.content) == (304, None)


async def test_the_role_in_the_requests_own_org_decides_what_is_seen(store: SqliteStore) -> None:
    for role, seen in (("learner", 0), ("admin", 1)):
        listed = await learner_routes.list_courses(ask(store, "cleo", cast("Role", role)))
        assert len(listed.items) == seen


async def test_an_import_over_http_is_noted_and_answers_with_a_report(store: SqliteStore) -> None:
    body = zipped({"a.md": "# A\n\n[gone](gone.md)"})
    query = course_routes.ImportQuery(id="sea", existing="ask")
    answer = await course_routes.import_zip(ask(store, "ben", "admin", body=body, query=query))
    report = answer.content
    assert (report.course_id, report.lessons, report.replaced) == ("sea", 1, False)
    assert [found.target for found in report.dangling] == ["gone.md"]
    with store.transaction("tidewater") as tx:
        [noted] = tx.rows(select(schema.audit))
    assert (noted.actor_id, noted.act, noted.subject) == ("ben", "course.imported", "sea")


async def test_a_course_is_written_over_http(store: SqliteStore) -> None:
    body = msgspec.convert(
        {
            "title": "By the sea",
            "lessons": [
                {"title": "Shells", "markdown": "[next](02-sand.md)"},
                {
                    "title": "Sand",
                    "markdown": "x",
                    "quiz": [{"prompt": "p", "choices": ["a", {"id": "z", "text": "b"}], "answer": [1, "z"]}],
                },
            ],
        },
        course_routes.NewCourse,
    )
    report = await course_routes.create(ask(store, "ben", "admin", body=body))
    assert (report.course_id, report.lessons, report.dangling) == ("by-the-sea", 2, [])
    path = {"course_id": "by-the-sea", "lesson_id": "02-sand"}
    page = await learner_routes.show_lesson(ask(store, "ben", "admin", path=path))
    assert page.quiz is not None
    assert page.quiz.questions[0].multiple


async def test_a_change_that_names_nothing_is_refused(store: SqliteStore) -> None:
    request = ask(store, "ben", "admin", path={"course_id": "knots"}, body=course_routes.CourseChange())
    with pytest.raises(Rejected, match="nothing to change"):
        await course_routes.change(request)


@pytest.mark.parametrize("call", learner_routes.CALLS + course_routes.CALLS, ids=lambda call: call.path)
def test_every_call_has_structs_that_can_be_described(call: Call) -> None:
    for struct in (call.body, call.query, call.returns):
        if struct is not None and struct is not bytes:
            assert msgspec.json.schema(struct)
