"""Alembic scripts that bring a workspace's database to the newest schema."""
