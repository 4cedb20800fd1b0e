"""FORCE_ORG_ENFORCEMENT, and the promise that no setting lets an event into another's org."""

from pathlib import Path
from typing import Any

import pytest

from holdfast.access.principal import Membership, Principal
from holdfast.learning import people
from tests.unit.web.portals import Asker, House, completed, house

BATCH = "/api/client/progress/batch"


def without_org() -> dict[str, Any]:
    event = completed()
    del event["orgId"]
    return event


async def receipt(asker: Asker, event: dict[str, Any], **headers: str) -> tuple[str, str | None]:
    answer = await asker.post(BATCH, {"events": [event]}, **headers)
    assert answer.status_code == 202, answer.text
    said = answer.json()["receipts"][0]
    return said["status"], said.get("code")


async def two_orgs(portal: House) -> Asker:
    """Ada, who learns in both orgs."""
    await portal.portal.store.run(
        None,
        lambda tx: people.create_user(
            tx, "highland", email="ada@tidewater.example", name="Ada", roles=["learner"], password_hash=None
        ),
    )
    orgs = tuple(Membership(org, org, ("learner",)) for org in ("tidewater", "highland"))
    who = Principal(user_id="demo-ada", name="Ada", email="ada@tidewater.example", orgs=orgs, org="tidewater")
    token = portal.portal.sessions.issue(who)
    csrf = portal.portal.csrf.issue(portal.portal.sessions.verify(token).session_id)
    headers = {"Cookie": f"holdfast_session={token}", "X-CSRF-Token": csrf}
    return Asker(portal.portal, portal.client, headers)


async def test_on_an_event_without_an_org_is_refused_by_name_and_journalled_nowhere(tmp_path: Path) -> None:
    async with house(tmp_path) as portal:
        before = portal.portal.journal.stats().head
        assert await receipt(portal.person("ada"), without_org()) == ("forbidden", "org_required")
        assert portal.portal.journal.stats().head == before
        said = (await portal.person("olu").get("/api/health")).json()
        assert said["orgEnforcement"] == {"force": True, "stampedWithoutOrg": 0}


async def test_off_an_event_without_an_org_gets_its_senders_only_one_and_is_counted(tmp_path: Path) -> None:
    async with house(tmp_path, force_org_enforcement=False) as portal:
        assert await receipt(portal.person("cleo"), without_org()) == ("accepted", None)
        record = portal.portal.journal.read(portal.portal.journal.stats().head - 1, 1).records[0]
        assert b'"orgId":"highland"' in record.data
        said = (await portal.person("olu").get("/api/health")).json()
        assert said["orgEnforcement"] == {"force": False, "stampedWithoutOrg": 1}
        # A member hears the rule, not the platform's count.
        mine = (await portal.person("cleo").get("/api/health")).json()
        assert mine["orgEnforcement"] == {"force": False, "stampedWithoutOrg": 0}


async def test_off_a_learner_of_two_orgs_must_still_say_which(tmp_path: Path) -> None:
    async with house(tmp_path, force_org_enforcement=False) as portal:
        ada = await two_orgs(portal)
        assert await receipt(ada, without_org()) == ("forbidden", "org_required")
        assert await receipt(ada, completed(orgId="highland")) == ("accepted", None)


@pytest.mark.parametrize("force", [True, False])
@pytest.mark.parametrize("stated", ["highland", "no-such-org", "TIDEWATER"])
async def test_no_setting_lets_an_event_into_an_org_that_is_not_its_senders(
    tmp_path: Path,
    force: bool,  # noqa: FBT001
    stated: str,
) -> None:
    async with house(tmp_path, force_org_enforcement=force) as portal:
        before = portal.portal.journal.stats().head
        for name in ("ada", "ben"):
            got = await receipt(portal.person(name), completed(orgId=stated))
            assert got == ("forbidden", "org_forbidden")
        assert await receipt(portal.service(), completed(orgId=stated)) == ("forbidden", "org_forbidden")
        assert portal.portal.journal.stats().head == before


async def test_an_org_named_in_the_header_does_not_change_the_events_own(tmp_path: Path) -> None:
    async with house(tmp_path) as portal:
        ada = await two_orgs(portal)
        assert await receipt(ada, completed(orgId="tidewater"), X_Org_Id="highland") == ("accepted", None)
        record = portal.portal.journal.read(portal.portal.journal.stats().head - 1, 1).records[0]
        assert b'"orgId":"tidewater"' in record.data


async def test_an_operator_sends_no_events_in_anybodys_org(tmp_path: Path) -> None:
    async with house(tmp_path) as portal:
        answer = await portal.person("olu").post(BATCH, {"events": [completed()]}, X_Org_Id="tidewater")
        assert answer.json()["code"] == "forbidden"
