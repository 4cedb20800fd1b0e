import pytest

from holdfast.access.policy import TABLE, require, resolve_org
from holdfast.access.principal import ROLES, Membership, Principal
from holdfast.core.errors import Rejected

OWN, OTHER = "o-own", "o-other"
PEOPLE: dict[str, Principal | None] = {
    "nobody": None,
    "learner": Principal("u-1", "L", "l@x.example", (Membership(OWN, "Own", ("learner",)),)),
    "admin": Principal("u-2", "A", "a@x.example", (Membership(OWN, "Own", ("admin",)),)),
    "operator": Principal("u-3", "O", "o@x.example", (), operator=True),
    "service": Principal(
        "service:o", "S", "", (Membership(OWN, "", ("service",)),), service=True, via="bearer"
    ),
}
WORDS = {
    "+": None,
    "s": "not_signed_in",
    "f": "forbidden",
    "x": "org_forbidden",
    "o": "org_required",
}
# Three letters a cell: in one's own org, in another's, in none. An operator here has no org of their own.
MATRIX = """
                    nobody  learner admin   operator service
public              +++     +++     +++     +++      +++
health.read         +++     +++     +++     +++      +++
session.read        sss     +++     +++     +++      +++
session.end         sss     +++     +++     +++      +++
password.change     sss     +++     +++     +++      +++
event.send          sss     +xo     +xo     fff      +xo
course.read         sss     +xo     +xo     fff      +xo
loss.report         sss     +xo     +xo     fff      +xo
receipts.read       sss     +xo     +xo     fff      +xo
deadletter.own      sss     +xo     +xo     fff      +xo
deadletter.org      sss     fxf     +xo     fff      +xo
assignment.send     sss     fxf     +xo     fff      +xo
assignment.read     sss     fxf     +xo     fff      +xo
course.read.all     sss     fxf     +xo     fff      +xo
course.write        sss     fxf     +xo     fff      +xo
people.read         sss     fxf     +xo     fff      +xo
people.write        sss     fxf     +xo     fff      +xo
analytics.read      sss     fxf     +xo     fff      +xo
deadletter.read     sss     fxf     fxf     +++      +xo
deadletter.settle   sss     fxf     fxf     +++      +xo
replay.read         sss     fxf     fxf     +++      +xo
replay.run          sss     fxf     fxf     +++      +xo
rebuild.run         sss     fxf     fxf     +++      +xo
person.erase        sss     fxf     fxf     +++      +xo
person.export       sss     fxf     fxf     +++      +xo
ledger.read         sss     fxf     fxf     +++      +xo
devices.read        sss     fxf     fxf     +++      +xo
org.read            sss     fxf     fxf     +++      +xo
org.write           sss     fff     fff     +++      fff
token.mint          sss     fff     fff     +++      fff
token.read          sss     fff     fff     +++      fff
token.revoke        sss     fff     fff     +++      fff
metrics.read        sss     fff     fff     +++      +++
health.history      sss     fff     fff     +++      fff
"""
ROWS = [line.split() for line in MATRIX.strip().splitlines()]
CELLS = [
    (row[0], person, org, letter)
    for row in ROWS[1:]
    for person, cell in zip(ROWS[0], row[1:], strict=True)
    for org, letter in zip((OWN, OTHER, None), cell, strict=True)
]


def said(principal: Principal | None, action: str, org: str | None) -> str | None:
    refusal: Rejected | None = None
    try:
        require(principal, action, org)
    except Rejected as caught:
        refusal = caught
    assert refusal is None or (action in refusal.message and refusal.hint)
    return refusal.code if refusal else None


@pytest.mark.parametrize("action, person, org, letter", CELLS)
def test_each_cell_says_what_was_decided(action: str, person: str, org: str | None, letter: str) -> None:
    assert said(PEOPLE[person], action, org) == WORDS[letter]


def test_every_action_and_role_is_in_the_matrix() -> None:
    assert {row[0] for row in ROWS[1:]} == set(TABLE)
    assert set(ROWS[0]) == {"nobody", *ROLES} == set(PEOPLE)
    assert len(CELLS) == len(TABLE) * (len(ROLES) + 1) * 3


def test_an_action_without_a_row_lets_nobody_through() -> None:
    for person in PEOPLE.values():
        with pytest.raises(LookupError, match=r"no\.such"):
            require(person, "no.such", OWN)


def test_an_operator_who_is_an_admin_somewhere_is_an_admin_there_only() -> None:
    both = Principal("u-4", "B", "b@x.example", (Membership(OWN, "Own", ("admin",)),), operator=True)
    assert said(both, "people.write", OWN) is None
    assert said(both, "people.write", OTHER) == "forbidden"
    assert said(both, "people.write", None) == "org_required"
    assert said(both, "deadletter.settle", OTHER) is None
    assert said(both, "org.write", None) is None


def test_roles_count_in_the_org_they_are_of() -> None:
    mixed = Principal(
        "u-5",
        "M",
        "m@x.example",
        (Membership(OWN, "Own", ("learner",)), Membership(OTHER, "Other", ("admin", "learner"))),
    )
    assert said(mixed, "people.read", OWN) == "forbidden"
    assert said(mixed, "people.read", OTHER) is None
    assert said(mixed, "course.read", OWN) is None


def test_a_refusal_names_the_role_and_the_roles_it_takes() -> None:
    with pytest.raises(Rejected, match=r"learner.*does not allow people\.write") as caught:
        require(PEOPLE["learner"], "people.write", OWN)
    assert "admin, service" in caught.value.hint
    assert caught.value.status == 403


TWO = Principal(
    "u-6",
    "T",
    "t@x.example",
    (Membership(OWN, "Own", ("learner",)), Membership("o-2", "Two", ("learner",))),
    org=OWN,
)


def test_without_a_header_the_first_org_is_meant() -> None:
    assert resolve_org(TWO, None) is TWO
    assert resolve_org(TWO, "") is TWO
    operator = PEOPLE["operator"]
    assert operator is not None
    assert resolve_org(operator, None).org is None


def test_a_header_chooses_among_ones_own() -> None:
    assert resolve_org(TWO, "o-2").org == "o-2"
    assert resolve_org(TWO, OWN) is TWO


@pytest.mark.parametrize("named", [OTHER, "o-2 ", "O-2", "x" * 10_000, "*"])
def test_another_org_is_refused_and_never_rewritten(named: str) -> None:
    with pytest.raises(Rejected) as caught:
        resolve_org(TWO, named)
    assert caught.value.code == "org_forbidden"
    assert named not in caught.value.message


def test_an_operator_names_any_org_and_is_held_to_the_operators_actions_there() -> None:
    operator = PEOPLE["operator"]
    assert operator is not None
    acting = resolve_org(operator, OTHER)
    assert acting.org == OTHER
    assert said(acting, "ledger.read", acting.org) is None
    assert said(acting, "course.read", acting.org) == "forbidden"


def test_a_service_stays_in_its_org() -> None:
    service = PEOPLE["service"]
    assert service is not None
    with pytest.raises(Rejected, match="not one of yours"):
        resolve_org(service, OTHER)
