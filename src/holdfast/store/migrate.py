"""Bringing a store's tables to this version, by Alembic's steps."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Engine, inspect, text

from holdfast.core.errors import Corrupt

HEAD: Final = "0004"
"""The newest step; a test holds it to the folder's."""

FOLDER: Final = Path(__file__).parent / "migrations"


def to_head(engine: Engine) -> None:
    """Apply the steps that are missing. Each is one transaction; running again is safe."""
    at = current(engine)
    if at == HEAD:
        return
    # Alembic costs a quarter of a second and 10 MB: it is loaded only when there is work for it.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    known = {step.revision for step in ScriptDirectory.from_config(config).walk_revisions()}
    if at is not None and at not in known:
        raise Corrupt(
            f"the store is at step {at}, which this version does not know",
            code="store_corrupt",
            hint="A newer version of Holdfast wrote this store: run that one.",
        )
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def current(engine: Engine) -> str | None:
    """The step a store is at; None for one without tables."""
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        row = connection.execute(text("select version_num from alembic_version")).first()
        return str(row[0]) if row else None
