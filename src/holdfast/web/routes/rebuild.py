"""For operators and services: an org's tables rebuilt from the journal."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import msgspec

from holdfast.access.audit import note_for
from holdfast.core.errors import Rejected
from holdfast.events.entry import Kinds
from holdfast.events.envelope import Name
from holdfast.events.rebuild import Rebuilt, rebuild
from holdfast.learning.folds import FOLDS, lay_ground
from holdfast.learning.orgs import require_org
from holdfast.store.port import Tx
from holdfast.web.calls import Ask, Call, Wire


class RebuildBody(Wire):
    """Which org, and why."""

    org_id: Name
    reason: Annotated[str, msgspec.Meta(min_length=3, max_length=1000)]
    dry_run: bool = False


async def rebuild_org(ask: Ask) -> Rebuilt:
    """Fold the org's events anew, compare, and swap what differs; answers when it is done.

    It holds the store's writer while it lasts: receipts go on, applying waits.
    """
    body: RebuildBody = ask.body
    if ask.org is not None and ask.org != body.org_id:
        raise Rejected("orgId: the org named is not one of yours", code="org_forbidden")
    portal, actor, now = ask.portal, ask.me.user_id, ask.portal.now()
    kinds = Kinds(portal.kinds)

    def work(tx: Tx) -> Rebuilt:
        require_org(tx, body.org_id)
        with tempfile.TemporaryDirectory(prefix="holdfast-rebuild-") as folder:
            shadow = portal.file_store(Path(folder) / "folded.sqlite3")
            try:
                read = portal.journal.read
                done = rebuild(
                    tx, read, kinds, shadow, lay_ground, FOLDS, body.org_id, now, dry_run=body.dry_run
                )
            finally:
                shadow.close()
        if done.swapped:
            tx.on_commit(portal.applier.begin_anew)
        details = {"reason": body.reason, "dryRun": body.dry_run, "swapped": done.swapped}
        note_for(tx, body.org_id, actor, "org.rebuilt", body.org_id, details)
        return done

    return await portal.store.run(None, work)


CALLS: tuple[Call, ...] = (
    Call(
        "POST",
        "/api/admin/offline/rebuild",
        rebuild_org,
        "rebuild.run",
        Rebuilt,
        "Rebuild an org's tables from the journal",
        body=RebuildBody,
    ),
)
