"""Alembic's steps arrive at exactly the tables that `schema` states, once, and know a store that is newer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, Inspector, create_engine, inspect, text
from sqlalchemy.pool import StaticPool

from holdfast.core.errors import Corrupt, Unavailable
from holdfast.store import migrate
from holdfast.store.schema import metadata, orgs
from holdfast.store.sqlite import SqliteStore

Shape = dict[str, Any]
NAMES = sorted(metadata.tables)


@pytest.fixture(scope="module")
def migrated() -> Iterator[Engine]:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    migrate.to_head(engine)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def stated() -> Iterator[Engine]:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    metadata.create_all(engine)
    yield engine
    engine.dispose()


def tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names()) - {"alembic_version"}


def columns(look: Inspector, table: str) -> list[Shape]:
    return [{**each, "type": repr(each["type"])} for each in look.get_columns(table)]


def keys(look: Inspector, table: str) -> Shape:
    """Everything that holds rows together, by name."""
    return {
        "primary": look.get_pk_constraint(table),
        "unique": by_name(look.get_unique_constraints(table)),
        "foreign": by_name(look.get_foreign_keys(table)),
        "check": by_name(look.get_check_constraints(table)),
        "index": by_name(look.get_indexes(table)),
    }


def by_name(found: list[Any]) -> list[Any]:
    return sorted(found, key=lambda each: str(each["name"]))


def without_rowid(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        made = connection.execute(text("select name, sql from sqlite_master where type = 'table'"))
        return {row.name for row in made if "WITHOUT ROWID" in row.sql.upper()}


def test_the_steps_make_the_tables_that_are_stated_and_no_other(migrated: Engine, stated: Engine) -> None:
    assert tables(migrated) == tables(stated) == set(NAMES)


@pytest.mark.parametrize("table", NAMES)
def test_each_column_is_as_it_is_stated(migrated: Engine, stated: Engine, table: str) -> None:
    assert columns(inspect(migrated), table) == columns(inspect(stated), table)


@pytest.mark.parametrize("table", NAMES)
def test_each_key_index_and_constraint_is_as_it_is_stated(
    migrated: Engine, stated: Engine, table: str
) -> None:
    assert keys(inspect(migrated), table) == keys(inspect(stated), table)


def test_the_tables_without_a_rowid_are_those_that_are_stated(migrated: Engine, stated: Engine) -> None:
    assert without_rowid(migrated) == without_rowid(stated)


def test_what_is_compared_is_not_nothing(stated: Engine) -> None:
    found = [keys(inspect(stated), table) for table in NAMES]
    assert all(any(each[part] for each in found) for part in ("unique", "foreign", "check", "index"))
    assert without_rowid(stated)
    assert any(each["nullable"] for table in NAMES for each in columns(inspect(stated), table))


def test_alembic_finds_nothing_left_to_do(migrated: Engine) -> None:
    with migrated.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


@pytest.mark.parametrize("name", NAMES)
def test_every_constraint_and_index_has_a_name_for_a_later_step_to_drop_it_by(name: str) -> None:
    table = metadata.tables[name]
    assert all(each.name for each in table.constraints if each is not table.primary_key)
    assert all(each.name for each in table.indexes)
    assert table.primary_key.name or not list(table.primary_key)


# The steps


def steps() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(migrate.FOLDER))
    return ScriptDirectory.from_config(config)


def test_the_newest_step_is_the_folders_only_head(migrated: Engine) -> None:
    assert steps().get_heads() == [migrate.HEAD]
    assert migrate.current(migrated) == migrate.HEAD


def test_the_steps_are_one_line_from_nothing_to_the_head() -> None:
    line = [step.revision for step in steps().walk_revisions()]
    assert line[0] == migrate.HEAD
    assert len(line) == len(list((migrate.FOLDER / "versions").glob("*.py")))
    assert not any(step.is_branch_point or step.is_merge_point for step in steps().walk_revisions())


def found(store: SqliteStore, slug: str) -> None:
    with store.transaction(None) as tx:
        tx.run(orgs.insert().values(id=slug, slug=slug, name=slug, created_at="2026-11-23T10:00:00.000Z"))


def test_a_store_that_is_opened_again_keeps_what_it_holds(tmp_path: Path) -> None:
    for slug in ("tidewater", "highland"):
        store = SqliteStore(tmp_path / "store.sqlite3")
        found(store, slug)
        store.close()
    store = SqliteStore(tmp_path / "store.sqlite3")
    with store.transaction(None) as tx:
        assert len(tx.rows(orgs.select())) == 2
    store.close()


def test_a_store_without_tables_is_at_no_step() -> None:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    assert migrate.current(engine) is None
    engine.dispose()


def test_a_newer_store_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.sqlite3")
    found(store, "tidewater")
    with store.transaction(None) as tx:
        tx.run(text("update alembic_version set version_num = '9999'"))
    store.close()
    store = SqliteStore(tmp_path / "store.sqlite3")
    with pytest.raises(Corrupt, match="step 9999") as refused, store.transaction(None):
        pass
    assert refused.value.code == "store_corrupt"
    assert "newer version of Holdfast" in refused.value.hint
    assert store.stats().ok is False
    assert migrate.current(store._write_engine) == "9999"
    store.close()


def test_a_step_that_fails_leaves_nothing_of_itself_and_is_tried_again(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.sqlite3")
    with store._write_engine.begin() as connection:
        # The last table of the step is in the way, so it fails after the others were made.
        connection.execute(text("create table users (id text)"))
    with pytest.raises(Unavailable, match="users"), store.transaction(None):
        pass
    assert inspect(store._write_engine).get_table_names() == ["users"]
    with store._write_engine.begin() as connection:
        connection.execute(text("drop table users"))
    found(store, "tidewater")
    store.close()
