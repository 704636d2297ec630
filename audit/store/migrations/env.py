"""Alembic's entry: runs the scripts on the connection that `workspace` hands over."""

from alembic import context

from audit.store.database import METADATA


def run() -> None:
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=METADATA,
        # SQLite cannot alter most things in place; batch mode copies the table instead.
        render_as_batch=True,
    )
    context.run_migrations()


# The context is only there while Alembic runs; a plain import finds nothing to do.
if hasattr(context, "config"):
    run()
