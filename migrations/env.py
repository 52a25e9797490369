"""Runs the migrations on the connection that the program hands over, inside its transaction."""

from alembic import context

from batchrunner.store.schema import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=True,  # SQLite changes a table by making it anew
    transactional_ddl=True,  # the caller's transaction makes an upgrade all or nothing
)
context.run_migrations()
