"""Judging one event: who may send what for whom, and which bytes go into the journal."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import msgspec
import pytest

from holdfast.core.errors import Rejected
from holdfast.events.entry import Entry, read_record
from holdfast.events.envelope import Judge, Sender, Stamp
from holdfast.events.kind import ENTRY_BYTES
from holdfast.journal.record import Event
from tests.records import event_id, record
from tests.unit.events.doors import BODY, batch, sender, sent
from tests.unit.events.spine import SCHOOL_KINDS

AT = "2026-11-23T10:00:00.000Z"
SERVICE = sender("service:sync", on_behalf=True)


def judged(
    raw: bytes,
    who: Sender | None = None,
    *,
    enforce_org: bool = True,
    door: str = "progress",
    device: str | None = None,
) -> Event:
    judge = Judge(SCHOOL_KINDS, enforce_org=enforce_org)
    stamp = Stamp(who or sender(), batch(raw, device=device, generation=3), door, AT)
    return judge.judge(msgspec.Raw(raw), stamp)


def refused(raw: bytes, who: Sender | None = None, **how: Any) -> Rejected:  # noqa: ANN401 - as `judged`
    with pytest.raises(Rejected) as found:
        judged(raw, who, **how)
    return found.value


def read(made: Event) -> Entry:
    entry = read_record(record(made, 1))
    assert isinstance(entry, Entry)
    return entry


def padded(size_bytes: int) -> bytes:
    return BODY[:-1] + b" " * (size_bytes - len(BODY)) + b"}"


# The envelope


def test_the_envelope_holds_who_what_and_when_and_the_body_s_own_bytes() -> None:
    body = b'{ "percent": 5e1, "lessonId":"one","courseId" : "knots"}'
    raw = sent(1, body, seq=9, occurredAt="2026-11-23T09:00:00.000Z")
    envelope = read(judged(raw, device="tablet-7")).envelope
    assert bytes(envelope.body) == body
    assert (envelope.id, envelope.org_id, envelope.user_id, envelope.actor_id) == (
        event_id(1), "tide", "ada", "ada",
    )  # fmt: skip
    assert (envelope.kind, envelope.version, envelope.lane) == ("lesson.progressed", 1, "progress")
    assert (envelope.device_id, envelope.generation, envelope.seq) == ("tablet-7", 3, 9)
    assert envelope.occurred_at == "2026-11-23T09:00:00.000Z"


def test_the_event_s_own_fields_are_those_of_its_envelope() -> None:
    made = judged(sent(1))
    kept = record(made, 1)
    assert (made.id, made.org, made.lane, made.digest) == (kept.id, "tide", "progress", kept.digest)


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\n\n\t"])
def test_newlines_between_the_body_s_tokens_become_spaces_for_a_record_is_one_line(newline: bytes) -> None:
    made = judged(sent(1, BODY.replace(b",", b"," + newline)))
    assert b"\n" not in made.data
    assert msgspec.json.decode(read(made).envelope.body) == msgspec.json.decode(BODY)


def test_a_newline_escaped_in_a_text_stays_as_it_was() -> None:
    body = b'{"name":"note.written","data":{"text":"one\\ntwo"}}'
    made = judged(sent(1, body, kind="analytics.recorded"), door="analytics")
    assert b"one\\ntwo" in made.data


def test_an_id_is_kept_in_small_letters() -> None:
    assert judged(sent(1, id=event_id(1).upper())) == judged(sent(1))


@pytest.mark.parametrize(
    "stated, kept",
    [
        (None, AT),
        ("2026-11-23T09:00:00Z", "2026-11-23T09:00:00.000Z"),
        ("2026-11-23T09:00:00.123456Z", "2026-11-23T09:00:00.123Z"),
        ("2026-11-23T10:30:00+01:30", "2026-11-23T09:00:00.000Z"),
        ("2026-11-23t09:00:00Z", "2026-11-23T09:00:00.000Z"),
    ],
)
def test_a_device_s_time_is_kept_in_utc_and_the_time_of_receipt_where_it_states_none(
    stated: str | None, kept: str
) -> None:
    assert read(judged(sent(1, occurredAt=stated))).envelope.occurred_at == kept


@pytest.mark.parametrize(
    "stated",
    ["", "yesterday", "2026-11-23", "2026-11-23T09:00:00", "20261123T090000Z", "2026-13-01T00:00:00Z",
     "0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:00", "2026-W47-1T09:00:00Z", 7],
)  # fmt: skip
def test_what_is_no_rfc_3339_time_is_refused(stated: str | int) -> None:
    assert refused(sent(1, occurredAt=stated)).code == "invalid"


# Who has left


def test_who_left_since_they_were_let_in_sends_nothing_and_a_service_goes_on() -> None:
    judge = Judge(SCHOOL_KINDS, enforce_org=True, left=lambda user, org: (user, org) == ("ada", "tide"))

    def judged_for(who: Sender) -> Event:
        return judge.judge(msgspec.Raw(sent(1)), Stamp(who, batch(sent(1)), "progress", AT))

    with pytest.raises(Rejected) as found:
        judged_for(sender())
    assert (found.value.code, found.value.status) == ("not_a_member", 403)
    assert judged_for(sender("abe")).org == "tide"
    assert judged_for(SERVICE).org == "tide"


def test_for_whom_is_erased_a_service_sends_nothing_and_for_others_it_goes_on() -> None:
    judge = Judge(SCHOOL_KINDS, enforce_org=True, erased=lambda user, org: (user, org) == ("ada", "tide"))

    def judged_for(user: str) -> Event:
        raw = sent(1, userId=user)
        return judge.judge(msgspec.Raw(raw), Stamp(SERVICE, batch(raw), "progress", AT))

    with pytest.raises(Rejected, match="erased") as found:
        judged_for("ada")
    assert (found.value.code, found.value.status) == ("not_a_member", 403)
    assert judged_for("abe").org == "tide"


# The digest


def test_equal_facts_have_equal_digests_and_others_have_others() -> None:
    one = judged(sent(1)).digest
    assert judged(sent(2)).digest == one
    assert judged(sent(1, seq=4, occurredAt="2026-11-23T09:00:00.000Z"), device="d").digest == one
    others = [
        judged(sent(1, BODY.replace(b"50", b"51"))),
        judged(sent(1), sender("abe")),
        judged(sent(1, b'{"courseId":"knots","lessonId":"one"}', kind="lesson.completed")),
    ]
    assert len({one, *(each.digest for each in others)}) == 4


# Bytes


def test_a_body_whose_checksum_fits_is_taken_in_either_case() -> None:
    right = f"{crc32(BODY):08x}"
    assert judged(sent(1, checksum=right)) == judged(sent(1))
    assert judged(sent(1, checksum=right.upper())) == judged(sent(1))


def test_a_body_whose_bytes_changed_on_the_way_is_refused_by_its_checksum() -> None:
    fault = refused(sent(1, BODY.replace(b"50", b"58"), checksum=f"{crc32(BODY):08x}"))
    assert fault.code == "checksum_mismatch"
    assert f"{crc32(BODY):08x}" in fault.message


@pytest.mark.parametrize("checksum", ["", "1234567", "123456789", "0x123456", "1234567g", "1234567\n"])
def test_what_is_no_checksum_is_refused(checksum: str) -> None:
    assert refused(sent(1, checksum=checksum)).code == "invalid"


def test_a_body_may_be_as_large_as_an_entry_of_the_outbox_and_not_a_byte_more() -> None:
    largest = padded(ENTRY_BYTES)
    assert judged(sent(1, largest)) == judged(sent(1, largest, checksum=f"{crc32(largest):08x}"))
    fault = refused(sent(1, padded(ENTRY_BYTES + 1)))
    assert fault.code == "event_too_large"
    assert f"{ENTRY_BYTES + 1} bytes, {ENTRY_BYTES} are allowed" in fault.message


@pytest.mark.parametrize("kind", SCHOOL_KINDS, ids=lambda kind: kind.name)
def test_every_kind_has_its_own_limit(kind: Any) -> None:  # noqa: ANN401 - a Kind
    body = b"{" + b" " * kind.limit_bytes + b"}"
    fault = refused(sent(1, body, kind=kind.name), door=kind.door)
    assert fault.code == "event_too_large"
    smaller = b"{" + b" " * (kind.limit_bytes - 2) + b"}"
    assert refused(sent(1, smaller, kind=kind.name), door=kind.door).code == "invalid"


def test_five_thousand_learners_fit_one_event() -> None:
    ids = [event_id(number) for number in range(5000)]
    body = msgspec.json.encode({"courseId": "knots", "userIds": ids})
    assert judged(sent(1, body, kind="course.assigned"), door="admin").lane == "admin"


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"7", b'{"id":"\xff"}', b"[" * 3000 + b"]" * 3000, b'{"a":' * 3000 + b"}" * 3000],
    ids=repr,
)
def test_what_is_no_event_is_refused_in_words(raw: bytes) -> None:
    assert refused(raw).code in {"malformed", "invalid"}


@pytest.mark.parametrize(
    "members, code",
    [
        ({"id": "not-an-id"}, "invalid"),
        ({"id": event_id(1) + "\n"}, "invalid"),
        ({"id": None}, "invalid"),
        ({"kind": "lesson.forgotten"}, "unknown_kind"),
        ({"kind": "x" * 65}, "invalid"),
        ({"version": 2}, "unknown_kind"),
        ({"version": 0}, "invalid"),
        ({"seq": 0}, "invalid"),
        ({"seq": 2**53}, "invalid"),
        ({"kind": "analytics.recorded"}, "wrong_door"),
        ({"more": 1}, "invalid"),
    ],
    ids=str,
)
def test_a_field_that_is_not_allowed_is_refused(members: dict[str, Any], code: str) -> None:
    assert refused(sent(1, **members)).code == code


def test_the_words_about_an_unknown_kind_say_whether_it_is_the_version() -> None:
    assert "it is not known" in refused(sent(1, kind="lesson.forgotten")).message
    assert "version 2 of it is not" in refused(sent(1, version=2)).message
    assert "'analytics'" in refused(sent(1, kind="analytics.recorded")).hint


def test_the_words_about_a_body_name_the_field() -> None:
    fault = refused(sent(1, BODY.replace(b"50", b'"half"')))
    assert fault.code == "invalid"
    assert "`body.percent`" in fault.message
    assert refused(sent(1, b'"\xff"')).code == "invalid"


# Org and user


def test_an_event_is_for_an_org_of_its_sender_s_only() -> None:
    assert refused(sent(1, orgId="high")).code == "org_forbidden"
    assert refused(sent(1, orgId="high"), sender(orgs=())).code == "org_forbidden"
    assert judged(sent(1, orgId="high"), sender(orgs=("tide", "high"))).org == "high"


def test_where_enforcement_is_on_an_event_must_state_its_org() -> None:
    fault = refused(sent(1, orgId=None))
    assert fault.code == "org_required"
    assert "orgId" in fault.hint


def test_where_enforcement_is_off_an_event_without_an_org_gets_its_sender_s_only_one() -> None:
    assert judged(sent(1, orgId=None), enforce_org=False).org == "tide"


@pytest.mark.parametrize("orgs", [(), ("tide", "high")])
def test_where_the_sender_has_not_just_one_org_none_is_guessed(orgs: tuple[str, ...]) -> None:
    assert refused(sent(1, orgId=None), sender(orgs=orgs), enforce_org=False).code == "org_required"


def test_enforcement_off_opens_no_other_org() -> None:
    assert refused(sent(1, orgId="high"), enforce_org=False).code == "org_forbidden"


def test_events_stamped_with_an_org_they_did_not_state_are_counted() -> None:
    judge = Judge(SCHOOL_KINDS, enforce_org=False)
    stamp = Stamp(sender(), batch(), "progress", AT)
    for raw in (sent(1, orgId=None), sent(2), sent(3, orgId=None)):
        judge.judge(msgspec.Raw(raw), stamp)
    with pytest.raises(Rejected):
        judge.judge(msgspec.Raw(sent(4, b"{}", orgId=None)), stamp)
    assert judge.stamped_without_org == 2


def test_policy_is_asked_with_the_kind_s_action_in_the_event_s_org() -> None:
    asked: list[tuple[str, str]] = []

    def may(action: str, org: str) -> bool:
        asked.append((action, org))
        return False

    fault = refused(sent(1, orgId="high"), sender(orgs=("tide", "high"), may=may))
    assert (fault.code, asked) == ("forbidden", [("event.send", "high")])
    body = b'{"courseId":"knots","userIds":["ada"]}'
    refused(sent(1, body, kind="course.assigned"), sender(may=may), door="admin")
    assert asked[1] == ("assignment.send", "tide")


@pytest.mark.parametrize("field", ["userId", "assignedBy"])
def test_only_a_service_may_name_another_than_itself(field: str) -> None:
    another: dict[str, Any] = {field: "abe"}
    itself: dict[str, Any] = {field: "ada"}
    assert refused(sent(1, **another)).code == "forbidden"
    assert judged(sent(1, **itself)) == judged(sent(1))
    made = judged(sent(1, **another), SERVICE)
    assert read(made).envelope.actor_id == "service:sync"


def test_a_service_sends_for_the_user_it_names_and_else_for_itself() -> None:
    assert read(judged(sent(1, userId="abe"), SERVICE)).envelope.user_id == "abe"
    assert read(judged(sent(1), SERVICE)).envelope.user_id == "service:sync"


@pytest.mark.parametrize("user", ["", 'a"b', "a b", "a\n", "é", "-a", "x" * 129, 'a","orgId":"high'])
def test_a_service_cannot_write_a_user_that_breaks_out_of_its_envelope(user: str) -> None:
    assert refused(sent(1, userId=user), SERVICE).code == "invalid"


def test_what_one_event_of_a_batch_states_is_no_word_about_the_next() -> None:
    judge = Judge(SCHOOL_KINDS, enforce_org=True)
    stamp = Stamp(sender(orgs=("tide", "high")), batch(), "progress", AT)
    made = [
        judge.judge(msgspec.Raw(sent(n, orgId=org)), stamp) for n, org in enumerate(("tide", "high", "tide"))
    ]
    assert [each.org for each in made] == ["tide", "high", "tide"]
    with pytest.raises(Rejected, match="another user"):
        judge.judge(msgspec.Raw(sent(9, userId="abe")), stamp)
    assert read(judge.judge(msgspec.Raw(sent(9)), stamp)).envelope.user_id == "ada"


def test_personal_values_are_scrubbed_before_the_digest_and_the_journal() -> None:
    body = b'{"name":"note.written","data":{"email":"ada@tide.example"}}'
    made = judged(sent(1, body, kind="analytics.recorded"), door="analytics")
    assert b"ada@tide.example" not in made.data
    assert judged(sent(1, body, kind="analytics.recorded"), door="analytics").digest == made.digest
