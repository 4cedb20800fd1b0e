"""People of an org: made, added, changed, listed, imported."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from holdfast.core.errors import Conflict, Rejected
from holdfast.learning.assignments import apply_assigned, apply_unassigned
from holdfast.learning.orgs import create_org, org_by_id, org_by_slug
from holdfast.learning.people import (
    PersonChange,
    change_person,
    create_operator,
    create_user,
    find_people,
    list_people,
)
from holdfast.learning.roster import RosterReport, import_roster, read_roster, with_password
from holdfast.store.port import Tx
from holdfast.store.schema import memberships, users
from holdfast.store.sqlite import SqliteStore
from tests.unit.learning.register import NOW, event, school


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with school() as opened:
        yield opened


@pytest.fixture
def tx(store: SqliteStore) -> Iterator[Tx]:
    with store.transaction(None) as opened:
        yield opened


def account(tx: Tx, email: str) -> Any:  # noqa: ANN401
    return tx.rows(select(users).where(users.c.email == email))[0]


def seats(tx: Tx, user_id: str) -> list[tuple[str, str, bool]]:
    rows = tx.rows(select(memberships).where(memberships.c.user_id == user_id))
    return sorted((row.org_id, row.role, row.active) for row in rows)


# Orgs


def test_an_org_is_found_by_slug_and_id(tx: Tx) -> None:
    made = create_org(tx, "new-school", " New School ")
    assert (made.name, org_by_slug(tx, "new-school"), org_by_id(tx, made.id)) == ("New School", made, made)
    assert org_by_slug(tx, "nowhere") is None


@pytest.mark.parametrize("slug", ["", "-a", "a-", "A", "a b", "a" * 64, "a\n", "é"])
def test_a_slug_that_is_none_is_refused(tx: Tx, slug: str) -> None:
    with pytest.raises(Rejected, match="slug"):
        create_org(tx, slug, "School")


def test_a_slug_is_given_once(tx: Tx) -> None:
    with pytest.raises(Conflict, match="'tide' exists already"):
        create_org(tx, "tide", "Tide again")


# Making and adding


def test_a_new_person_has_one_spelling_of_their_address(tx: Tx) -> None:
    made = create_user(tx, "tide", email="  Eve@Tide.Example ", name=" Eve ", roles=["learner", "admin"])
    assert (made.email, made.name, made.roles, made.active) == (
        "eve@tide.example",
        "Eve",
        ["admin", "learner"],
        True,
    )
    assert seats(tx, made.id) == [("tide", "admin", True), ("tide", "learner", True)]
    row = account(tx, "eve@tide.example")
    assert (row.password_hash, row.operator) == (None, False)


def test_a_person_of_another_org_is_added_and_nothing_of_theirs_is_told_or_touched(tx: Tx) -> None:
    tx.run(update(users).where(users.c.id == "cleo").values(password_hash="hers", name="Cleo Secret"))
    added = create_user(
        tx, "tide", email="CLEO@high.example", name="C.", roles=["learner"], password_hash="another"
    )
    assert (added.id, added.name, added.roles) == ("cleo", "C.", ["learner"])
    assert added.created_at != NOW
    row = account(tx, "cleo@high.example")
    assert (row.password_hash, row.name) == ("hers", "Cleo Secret")
    assert seats(tx, "cleo") == [("high", "learner", True), ("tide", "learner", True)]


def test_a_member_is_not_made_twice_not_even_a_closed_one(tx: Tx) -> None:
    tx.run(update(memberships).where(memberships.c.user_id == "abe").values(active=False))
    for email in ("ada@tide.example", "ABE@tide.example"):
        with pytest.raises(Conflict) as caught:
            create_user(tx, "tide", email=email, name="Again", roles=["admin"])
        assert caught.value.code == "already_exists"


@pytest.mark.parametrize(
    "email",
    ["", "ada", "ada@", "@x.example", "a b@x.example", "a@b@c.example", "a@x", f"a@{'x' * 260}.example"],
)
def test_what_is_no_address_is_refused(tx: Tx, email: str) -> None:
    with pytest.raises(Rejected, match="email"):
        create_user(tx, "tide", email=email, name="A", roles=["learner"])


@pytest.mark.parametrize("name", ["", "   ", "a\nb", "a\x00", "x" * 201])
def test_what_is_no_name_is_refused(tx: Tx, name: str) -> None:
    with pytest.raises(Rejected, match="name"):
        create_user(tx, "tide", email="new@x.example", name=name, roles=["learner"])


def test_an_operator_is_made_by_commands_and_once(tx: Tx) -> None:
    made = create_operator(tx, email="Olu@x.example", name="Olu", password_hash="h")
    assert account(tx, "olu@x.example").operator is True
    assert seats(tx, made) == []
    with pytest.raises(Conflict):
        create_operator(tx, email="olu@x.example", name="Olu", password_hash="h")


# Changing


def test_an_admin_changes_name_roles_and_whether_a_person_is_open(tx: Tx) -> None:
    change = PersonChange(name="Ada L.", roles=["admin"], active=False)
    changed = change_person(tx, "tide", "ada", change, actor="ben")
    assert (changed.name, changed.roles, changed.active) == ("Ada L.", ["admin"], False)
    assert changed.created_at == NOW
    assert seats(tx, "ada") == [("tide", "admin", False)]
    assert account(tx, "ada@tide.example").active is True
    assert change_person(tx, "tide", "ada", PersonChange(active=True), actor="ben").active is True


def test_closing_a_person_leaves_their_other_org_alone(tx: Tx) -> None:
    create_user(tx, "tide", email="cleo@high.example", name="Cleo", roles=["learner"])
    change_person(tx, "tide", "cleo", PersonChange(active=False), actor="ben")
    assert seats(tx, "cleo") == [("high", "learner", True), ("tide", "learner", False)]


@pytest.mark.parametrize("who", ["cleo", "nobody"])
def test_a_person_of_another_org_is_not_found(tx: Tx, who: str) -> None:
    with pytest.raises(Rejected) as caught:
        change_person(tx, "tide", who, PersonChange(active=False), actor="ben")
    assert caught.value.code == "not_found"
    assert seats(tx, "cleo") == [("high", "learner", True)]


def test_the_name_of_a_person_who_is_elsewhere_too_is_not_this_orgs_to_change(tx: Tx) -> None:
    create_user(tx, "tide", email="cleo@high.example", name="Cleo", roles=["learner"])
    with pytest.raises(Rejected, match="name is not this org's to change"):
        change_person(tx, "tide", "cleo", PersonChange(name="Mallory"), actor="ben")
    tx.run(update(users).where(users.c.id == "ada").values(operator=True))
    with pytest.raises(Rejected, match="name is not this org's to change"):
        change_person(tx, "tide", "ada", PersonChange(name="Mallory"), actor="ben")


@pytest.mark.parametrize("change", [PersonChange(active=False), PersonChange(roles=["learner"])])
def test_nobody_closes_or_demotes_themselves(tx: Tx, change: PersonChange) -> None:
    with pytest.raises(Rejected, match="yourself"):
        change_person(tx, "tide", "ben", change, actor="ben")
    assert seats(tx, "ben") == [("tide", "admin", True)]


# Listing


def listed(store: SqliteStore, **asked: Any) -> list[str]:  # noqa: ANN401
    with store.transaction("tide") as tx:
        return [each.id for each in list_people(tx, "tide", limit=asked.pop("limit", 100), **asked).items]


def test_people_are_listed_and_searched_within_the_org(store: SqliteStore) -> None:
    with store.transaction(None) as tx:
        tx.run(update(users).where(users.c.id == "amy").values(name="Élodie 100%"))
        tx.run(update(memberships).where(memberships.c.user_id == "abe").values(active=False))
    assert listed(store) == ["abe", "ada", "amy", "ben"]
    assert listed(store, search="ADA@") == ["ada"]
    assert listed(store, search="Élo") == ["amy"]
    assert listed(store, search="100%") == ["amy"]
    assert listed(store, search="%") == ["amy"]
    assert listed(store, search="cleo") == []
    assert listed(store, role="admin") == ["ben"]
    assert listed(store, active=False) == ["abe"]


def test_pages_of_people_join_to_the_whole_list(store: SqliteStore) -> None:
    found: list[list[str]] = []
    after = None
    with store.transaction("tide") as tx:
        while not found or after is not None:
            page = list_people(tx, "tide", limit=3, after=after)
            found.append([each.id for each in page.items])
            after = page.next
            assert page.total == 4
    assert found == [["abe", "ada", "amy"], ["ben"]]


def test_those_who_have_a_course_can_be_left_out(store: SqliteStore) -> None:
    with store.transaction(None) as tx:
        both = event("course.assigned", "ben", 1, courseId="knots", userIds=["ada", "abe"])
        other = event("course.assigned", "dan", 2, org="high", courseId="knots", userIds=["cleo"])
        apply_assigned(tx, [both, other])
        apply_unassigned(tx, [event("course.unassigned", "ben", 3, courseId="knots", userIds=["abe"])])
    assert listed(store, without_course="knots") == ["abe", "amy", "ben"]
    assert listed(store, without_course="knots", role="learner", search="a") == ["abe", "amy"]
    with store.transaction("tide") as tx:
        assert list_people(tx, "tide", limit=1, without_course="knots").total == 3


def test_people_are_found_by_address_and_id_in_any_mixture_and_strangers_are_not(store: SqliteStore) -> None:
    with store.transaction(None) as tx:
        tx.run(update(memberships).where(memberships.c.user_id == "abe").values(active=False))
    asked = [" ADA@tide.example", "abe", "cleo@high.example", "cleo", "", "ada", "nobody@x.example", "abe"]
    with store.transaction("tide") as tx:
        found = find_people(tx, "tide", asked)
    assert [(each.asked, each.id, each.active) for each in found.items] == [
        ("ADA@tide.example", "ada", True),
        ("abe", "abe", False),
        ("ada", "ada", True),
    ]
    assert found.unknown == ["cleo@high.example", "cleo", "nobody@x.example"]


def test_five_thousand_people_are_found_at_once(store: SqliteStore) -> None:
    with store.transaction("tide") as tx:
        found = find_people(tx, "tide", [*(f"nobody-{number}" for number in range(4_999)), "ada"])
    assert ([each.id for each in found.items], len(found.unknown)) == (["ada"], 4_999)


# Importing

WITH_PASSWORD = "email,name,role,password\n"


def imported(tx: Tx, text: str | bytes, **hashes: str) -> RosterReport:
    data = text.encode() if isinstance(text, str) else text
    roster = read_roster(data, demo=False)
    return import_roster(tx, "tide", roster, {f"{name}@x.example": value for name, value in hashes.items()})


def counts(report: RosterReport) -> tuple[int, int, int]:
    return report.created, report.updated, report.unchanged


@pytest.mark.parametrize(
    "text",
    [
        "email,name,role\neve@x.example,Eve,learner\n",
        "email,name,role\r\neve@x.example,Eve,learner",
        "email,name,role\reve@x.example,Eve,learner\r",
        "\ufeffemail,name,role\neve@x.example,Eve,learner\n",
        "email;name;role\neve@x.example;Eve;learner\n",
        " Email , NAME ,Role\n eve@X.example , Eve , Learner \n",
        "\n\nrole,name,email\nlearner,Eve,eve@x.example\n\n\n",
        'email,name,role\n"eve@x.example","Eve","learner"\n',
        "email,name,role,password\neve@x.example,Eve,learner,\n",
    ],
)
def test_a_file_is_read_as_spreadsheets_write_it(tx: Tx, text: str) -> None:
    assert counts(imported(tx, text)) == (1, 0, 0)
    made = account(tx, "eve@x.example")
    assert made.name == "Eve"
    assert seats(tx, made.id) == [("tide", "learner", True)]


def test_a_quoted_name_may_hold_the_separator(tx: Tx) -> None:
    imported(tx, 'email,name,role\neve@x.example,"Eve, ""E"" of X",learner\n')
    assert account(tx, "eve@x.example").name == 'Eve, "E" of X'


def test_each_bad_row_is_named_by_line_and_reason_and_the_good_ones_are_kept(tx: Tx) -> None:
    report = imported(
        tx,
        "email,name,role,password\n"
        "good@x.example,Good,learner,\n"
        "no-address,Bad,learner,\n"
        "a@x.example,,learner,\n"
        "b@x.example,B,operator,\n"
        "c@x.example,C,learner\n"
        '"d@x.example,D,learner,\n'
        "\n"
        "good@x.example,Twice,admin,\n"
        "e@x.example,E,learner,short\n"
        "f@x.example,F,learner,holdfast-demo\n"
        "g@x.example,G\x00,learner,\n"
        "last@x.example,Last,admin,\n",
    )
    assert counts(report) == (2, 0, 0)
    assert [(each.line, each.email) for each in report.failed] == [
        *((3, "no-address"), (4, "a@x.example"), (5, "b@x.example"), (6, ""), (7, "")),
        *((9, "good@x.example"), (10, "e@x.example"), (11, "f@x.example"), (12, "g@x.example")),
    ]
    wanted = (
        "email",
        "name",
        "learner or admin",
        "3 cells",
        "can't be read",
        "line 2 already",
        "8 to 1024",
        "demo",
    )
    for each, word in zip(report.failed, (*wanted, "name"), strict=True):
        assert word in each.reason
    assert account(tx, "good@x.example").name == "Good"


@pytest.mark.parametrize(
    "data, reason",
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf\n \n", "empty"),
        (b"eve@x.example,Eve,learner\n", "header lacks email"),
        (b"email,name\n", "header lacks role"),
        (b"email,name,role,salary\n", "'salary'"),
        (b"email,name,role,email\n", "twice"),
        (b'"email,name,role\n', "header"),
        (b"email,name,role\na@x.example,A,learner\nb@x.example,\xe9,learner\n", "line 3 is not UTF-8"),
        (b"PK\x03\x04\xff\xfe", "not UTF-8"),
        (b"email,name,role\n" + b"a@x.example,A,learner\n" * 10_001, "10001 rows"),
        (
            b"email,name,role,password\n"
            + b"".join(b"u%d@x.example,A,learner,long enough\n" % number for number in range(501)),
            "500 passwords",
        ),
    ],
)
def test_a_file_that_is_wrong_as_a_whole_imports_nothing(data: bytes, reason: str) -> None:
    with pytest.raises(Rejected, match=reason) as caught:
        read_roster(data, demo=False)
    assert caught.value.code == "import_refused"


def test_importing_a_file_again_changes_nothing(tx: Tx) -> None:
    text = "email,name,role\neve@x.example,Eve,learner\nada@tide.example,Ada,learner\n"
    assert counts(imported(tx, text)) == (1, 0, 1)
    assert counts(imported(tx, text)) == (0, 0, 2)


def test_an_import_brings_names_and_roles_and_takes_none_away(tx: Tx) -> None:
    text = "email,name,role\nben@tide.example,Ben,learner\nada@tide.example,Ada Lovelace,learner\n"
    assert counts(imported(tx, text)) == (0, 2, 0)
    assert seats(tx, "ben") == [("tide", "admin", True), ("tide", "learner", True)]
    assert account(tx, "ada@tide.example").name == "Ada Lovelace"


def test_an_import_adds_a_person_of_another_org_and_touches_nothing_of_theirs(tx: Tx) -> None:
    roster = read_roster(b"email,name,role\ncleo@high.example,Mallory,admin\n", demo=False)
    for expected in ((1, 0, 0), (0, 0, 1)):
        report = import_roster(tx, "tide", roster, {"cleo@high.example": "another"})
        assert counts(report) == expected
    row = account(tx, "cleo@high.example")
    assert (row.name, row.password_hash) == ("Cleo", None)
    assert seats(tx, "cleo") == [("high", "learner", True), ("tide", "admin", True)]


def test_a_closed_person_is_not_opened_by_a_list(tx: Tx) -> None:
    tx.run(update(memberships).where(memberships.c.user_id == "ada").values(active=False))
    report = imported(tx, "email,name,role\nada@tide.example,Ada,learner\n")
    assert counts(report) == (0, 0, 0)
    assert "closed" in report.failed[0].reason
    assert seats(tx, "ada") == [("tide", "learner", False)]


def test_a_first_password_is_set_and_a_second_is_not(tx: Tx) -> None:
    text = WITH_PASSWORD + "eve@x.example,Eve,learner,long enough\nabe@tide.example,Abe,learner,long enough\n"
    roster = read_roster(text.encode(), demo=False)
    assert [row.email for row in with_password(tx, "tide", roster.rows)] == [
        "eve@x.example",
        "abe@tide.example",
    ]
    first = {"eve@x.example": "h1", "abe@tide.example": "h2"}
    assert counts(import_roster(tx, "tide", roster, first)) == (1, 1, 0)
    assert with_password(tx, "tide", roster.rows) == []
    later = {"eve@x.example": "h3", "abe@tide.example": "h4"}
    assert counts(import_roster(tx, "tide", roster, later)) == (0, 0, 2)
    assert [account(tx, email).password_hash for email in first] == ["h1", "h2"]


def test_strangers_are_hashed_for_whether_or_not_they_have_an_account(tx: Tx) -> None:
    tx.run(update(users).where(users.c.id == "cleo").values(password_hash="hers"))
    text = WITH_PASSWORD + "cleo@high.example,C,learner,long enough\nnew@x.example,N,learner,long enough\n"
    roster = read_roster(text.encode(), demo=False)
    assert len(with_password(tx, "tide", roster.rows)) == 2


def test_ten_thousand_people_are_imported_at_once(tx: Tx) -> None:
    lines = ["email,name,role", *(f"u{number}@x.example,U {number},learner" for number in range(10_000))]
    assert counts(imported(tx, "\n".join(lines))) == (10_000, 0, 0)
    assert counts(imported(tx, "\n".join(lines))) == (0, 0, 10_000)


def test_a_user_without_any_org_is_added_like_a_new_one(tx: Tx) -> None:
    row = {"id": "zoe", "email": "zoe@x.example", "name": "Zoe", "created_at": NOW}
    tx.run(insert(users).values(**row, operator=False, active=True, demo=False))
    assert create_user(tx, "tide", email="zoe@x.example", name="Z", roles=["learner"]).id == "zoe"
