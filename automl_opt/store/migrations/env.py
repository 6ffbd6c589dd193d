"""Alembic's way in: runs the migrations on the connection, and in the transaction, it is given."""

from alembic import context

from automl_opt.store.schema import VERSION_TABLE, is_ours

attributes = context.config.attributes

context.configure(
    connection=attributes["connection"],
    target_metadata=attributes.get("metadata"),
    version_table=VERSION_TABLE,
    include_object=is_ours,
)

with context.begin_transaction():
    context.run_migrations()
