"""Alembic's entry: the connection comes from `migrate.to_head`, the target from the schema."""

from alembic import context

from holdfast.store.schema import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    transaction_per_migration=False,
)
context.run_migrations()
