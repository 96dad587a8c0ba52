"""Alembic's entry point; common.migrations does the work."""

from common.migrations import run_env

run_env()
