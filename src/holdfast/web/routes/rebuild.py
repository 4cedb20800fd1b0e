"""For operators and services: an org's tables rebuilt from the journal."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import msgspec

from holdfast.access.audit import note_for
from holdfast.core.errors import HoldfastError, Misconfigured, Rejected, Unavailable
from holdfast.events.entry import Kinds
from holdfast.events.envelope import Name
from holdfast.events.rebuild import Rebuilt, rebuild
from holdfast.learning.folds import FOLDS, lay_ground
from holdfast.learning.orgs import require_org
from holdfast.store.port import Store, Tx
from holdfast.web.calls import Ask, Call, Wire

FULL_BYTES: Final = 1 << 20
"""A volume with less than this free is full: what filled it may have been cut back a little."""


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
        with _passing_store(portal.file_store) as shadow:
            read = portal.journal.read
            done = rebuild(tx, read, kinds, shadow, lay_ground, FOLDS, body.org_id, now, dry_run=body.dry_run)
        if done.swapped:
            tx.on_commit(portal.applier.begin_anew)
        details = {"reason": body.reason, "dryRun": body.dry_run, "swapped": done.swapped}
        note_for(tx, body.org_id, actor, "org.rebuilt", body.org_id, details)
        return done

    return await portal.store.run(None, work)


@contextmanager
def _passing_store(open_: Callable[[Path], Store]) -> Iterator[Store]:
    """A store to fold in, gone afterwards. Raises Unavailable `disk_full`, Misconfigured for no folder."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="holdfast-rebuild-")
    except OSError as fault:
        raise _no_room(fault) from fault
    with folder as name:
        try:
            store = open_(Path(name) / "folded.sqlite3")
        except OSError as fault:
            raise _no_room(fault) from fault
        try:
            yield store
        except Unavailable as out:
            if shutil.disk_usage(name).free < FULL_BYTES:
                raise _no_room(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)) from out
            raise
        finally:
            store.close()


def _no_room(fault: OSError) -> HoldfastError:
    where = f" ({fault.filename})" if fault.filename else ""
    words = f"a rebuild needs a folder for temporary files with room to fold in: {fault.strerror}{where}"
    if fault.errno in (errno.ENOSPC, errno.EDQUOT):
        return Unavailable(
            words, code="disk_full", hint="Free space there, or name another in TMPDIR.", retry_s=60.0
        )
    return Misconfigured(words, code="setting_invalid", hint="Make it writable, or name another in TMPDIR.")


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
