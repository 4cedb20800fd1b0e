"""An org's people, and orgs."""

from __future__ import annotations

from typing import Annotated, Final

import anyio.to_thread
import msgspec
from msgspec import Meta

from holdfast.access.audit import note_for
from holdfast.access.passwords import MAX_CHARS, MIN_CHARS, check_new_password, hash_password
from holdfast.core.errors import Rejected
from holdfast.learning import people, roster
from holdfast.learning.assignments import MAX_USERS
from holdfast.learning.orgs import NAME_CHARS, SLUG_PATTERN, Org, create_org
from holdfast.learning.people import OrgRole, OrgRoles, PeopleFound, PeoplePage, Person, PersonChange
from holdfast.learning.progress import Id
from holdfast.learning.roster import RosterReport
from holdfast.store.port import Tx
from holdfast.web.calls import Ask, Call, Wire
from holdfast.web.guard import require_store_well

IMPORT_LIMIT_BYTES: Final = 4 << 20
FIND_LIMIT_BYTES: Final = 2 << 20

PersonName = Annotated[str, Meta(min_length=1, max_length=NAME_CHARS)]


class PeopleFilter(Wire):
    """Whom to list. `search` is found anywhere in name or address; `withoutCourse` leaves out who has it."""

    search: Annotated[str, Meta(max_length=100)] | None = None
    role: OrgRole | None = None
    active: bool | None = None
    without_course: Id | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 100
    after: Annotated[str, Meta(max_length=people.EMAIL_CHARS)] | None = None


def _learner() -> list[OrgRole]:
    return ["learner"]


class NewPerson(Wire):
    """A person to make, or to add when they have an account already; then name and password are ignored."""

    email: Annotated[str, Meta(min_length=3, max_length=people.EMAIL_CHARS)]
    name: PersonName
    roles: OrgRoles = msgspec.field(default_factory=_learner)
    password: Annotated[str, Meta(min_length=MIN_CHARS, max_length=MAX_CHARS)] | None = None


class ChangePerson(Wire):
    """What to change; what is left out stays. `active` opens and closes the person in this org.

    Who is closed is signed out of it, and a new `password` signs the person out everywhere.
    """

    name: PersonName | None = None
    active: bool | None = None
    roles: OrgRoles | None = None
    password: Annotated[str, Meta(min_length=MIN_CHARS, max_length=MAX_CHARS)] | None = None


class WhoIs(Wire):
    """E-mail addresses and ids, mixed as they come."""

    asked: Annotated[
        list[Annotated[str, Meta(max_length=people.EMAIL_CHARS)]], Meta(min_length=1, max_length=MAX_USERS)
    ]


class NewOrg(Wire):
    """An org to found."""

    slug: Annotated[str, Meta(pattern=SLUG_PATTERN)]
    name: PersonName


async def list_all(ask: Ask) -> PeoplePage:
    """The org's people by address."""
    org, query = ask.my_org, ask.query
    return await ask.portal.store.read(
        org,
        lambda tx: people.list_people(
            tx,
            org,
            limit=query.limit,
            search=query.search,
            role=query.role,
            active=query.active,
            without_course=query.without_course,
            after=query.after,
        ),
    )


async def find(ask: Ask) -> PeopleFound:
    """Who stands behind addresses and ids."""
    org, asked = ask.my_org, ask.body.asked
    return await ask.portal.store.read(org, lambda tx: people.find_people(tx, org, asked))


async def create(ask: Ask) -> Person:
    """Make a person or add one to the org."""
    org, actor, body = ask.my_org, ask.me.user_id, ask.body
    hashed = None
    if body.password is not None:
        check_new_password(body.password, demo=ask.portal.settings.demo)
        # Hashed for those who exist elsewhere too, or the answer's time would tell that they do.
        hashed = await anyio.to_thread.run_sync(hash_password, body.password)

    def work(tx: Tx) -> Person:
        person = people.create_user(
            tx, org, email=body.email, name=body.name, roles=body.roles, password_hash=hashed
        )
        # Who is a member elsewhere may be here already, and is one from now on.
        ask.portal.members.learn(tx, person.id)
        note_for(tx, org, actor, "person.added", person.id, {"roles": person.roles})
        return person

    return await ask.portal.store.run(None, work)


async def change(ask: Ask) -> Person:
    """Change a person of the org."""
    portal, org, actor, user_id = ask.portal, ask.my_org, ask.me.user_id, ask.path["user_id"]
    asked = PersonChange(name=ask.body.name, active=ask.body.active, roles=ask.body.roles)
    named = [
        field for field in ("name", "active", "roles", "password") if getattr(ask.body, field) is not None
    ]
    if not named:
        raise Rejected("nothing to change is named", hint="Name name, active, roles or password.")

    if asked.active is False or asked.roles is not None:
        # Who loses a role, or is closed, loses it for good as far as they can tell.
        require_store_well(portal)
    hashed = None
    if ask.body.password is not None:
        if user_id == actor:
            raise Rejected(
                "your own password takes the one you have", code="forbidden", hint="POST /api/auth/password."
            )
        check_new_password(ask.body.password, demo=portal.settings.demo)
        hashed = await anyio.to_thread.run_sync(hash_password, ask.body.password)

    def work(tx: Tx) -> Person:
        person = people.change_person(tx, org, user_id, asked, actor=actor)
        if hashed is not None:
            people.set_password(tx, org, user_id, hashed)
            portal.sessions.end_person(tx, user_id)
        if asked.active is False:
            portal.sessions.end_membership(tx, org, user_id)
        portal.members.learn(tx, user_id)
        details = {"changed": named, "roles": person.roles, "active": person.active}
        note_for(tx, org, actor, "person.changed", user_id, details)
        return person

    person = await portal.store.run(None, work)
    await portal.ended.flush(portal.store)
    portal.streams.recheck()
    return person


async def import_csv(ask: Ask) -> RosterReport:
    """Import people from CSV; bad rows are named, good ones kept."""
    org, actor, store = ask.my_org, ask.me.user_id, ask.portal.store
    demo = ask.portal.settings.demo
    read = await anyio.to_thread.run_sync(lambda: roster.read_roster(ask.body, demo=demo))
    asking = await store.read(None, lambda tx: roster.with_password(tx, org, read.rows))
    # Outside the unit of work: the store has one writer, and hashes take their time.
    hashes = await anyio.to_thread.run_sync(
        lambda: {row.email: hash_password(row.password) for row in asking if row.password is not None}
    )

    def work(tx: Tx) -> RosterReport:
        report = roster.import_roster(tx, org, read, hashes)
        details = {"created": report.created, "updated": report.updated, "failed": len(report.failed)}
        note_for(tx, org, actor, "people.imported", org, details)
        return report

    return await store.run(None, work)


async def found_org(ask: Ask) -> Org:
    """Found an org."""
    actor, body = ask.me.user_id, ask.body

    def work(tx: Tx) -> Org:
        org = create_org(tx, body.slug, body.name)
        note_for(tx, None, actor, "org.created", org.id, {"slug": org.slug})
        return org

    return await ask.portal.store.run(None, work)


CALLS: Final[tuple[Call, ...]] = (
    Call(
        "GET",
        "/api/admin/users",
        list_all,
        action="people.read",
        returns=PeoplePage,
        etag=True,
        query=PeopleFilter,
        summary="The org's people by address.",
    ),
    Call(
        "POST",
        "/api/admin/users",
        create,
        action="people.write",
        returns=Person,
        body=NewPerson,
        status=201,
        summary="Make a person, or add one who has an account to this org.",
    ),
    Call(
        "PATCH",
        "/api/admin/users/{user_id}",
        change,
        action="people.write",
        returns=Person,
        body=ChangePerson,
        summary="Change a person's name, roles or password, or close and open them in this org.",
    ),
    Call(
        "POST",
        "/api/admin/users/find",
        find,
        action="people.read",
        returns=PeopleFound,
        body=WhoIs,
        limit_bytes=FIND_LIMIT_BYTES,
        summary="Who of the org has these e-mail addresses or ids; at most 5,000.",
    ),
    Call(
        "POST",
        "/api/admin/users/import",
        import_csv,
        action="people.write",
        returns=RosterReport,
        body=bytes,
        reads="text/csv",
        limit_bytes=IMPORT_LIMIT_BYTES,
        summary="Import people from CSV; each bad row is named, the good ones are kept.",
    ),
    Call(
        "POST",
        "/api/admin/orgs",
        found_org,
        action="org.write",
        returns=Org,
        body=NewOrg,
        status=201,
        summary="Found an org.",
    ),
)
