"""One refresh at a time per database and target.

dbt closes the connection of its first hook before a model runs, so that a session lock taken
there is gone at once. The lock is held on a connection of its own, for as long as the refresh
lives; PostgreSQL gives it back when the process dies.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import Connection

from anchorline import settings
from anchorline.connection import connect
from anchorline.errors import AnchorlineError

_LOOK_EVERY_SECONDS = 0.5


class RefreshBusyError(AnchorlineError):
    """Another refresh of the same marts is under way."""


@contextmanager
def refresh_lock(target: str, *, wait_seconds: float = 0) -> Iterator[Connection]:
    """Hold the lock of the target's marts; yield the connection that holds it (autocommit).

    Raises RefreshBusyError where another refresh still holds it after `wait_seconds`.
    """
    schema = settings.target_schema(target)
    with connect(target, autocommit=True) as connection:
        deadline = time.monotonic() + wait_seconds
        while not _try_lock(connection, schema):
            if time.monotonic() >= deadline:
                raise RefreshBusyError(
                    f"Another refresh of {schema} is under way{_holder(connection, schema)}. "
                    "Wait for its end (--wait SECONDS does), or end it first."
                )
            time.sleep(_LOOK_EVERY_SECONDS)
        try:
            yield connection
        finally:
            if not connection.closed and not connection.broken:
                connection.execute(
                    "select pg_advisory_unlock(hashtext('anchorline refresh'), hashtext(%s))",
                    (schema,),
                )


def is_refreshing(connection: Connection, target: str) -> bool:
    """Return whether a refresh of the target's marts is under way, without waiting."""
    schema = settings.target_schema(target)
    return _holder_pid(connection, schema) is not None


def _try_lock(connection: Connection, schema: str) -> bool:
    row = connection.execute(
        "select pg_try_advisory_lock(hashtext('anchorline refresh'), hashtext(%s))", (schema,)
    ).fetchone()
    return bool(row and row[0])


def _holder_pid(connection: Connection, schema: str) -> int | None:
    row = connection.execute(
        """
        select pid from pg_catalog.pg_locks
        where
            locktype = 'advisory'
            and granted
            and objsubid = 2
            and database = (
                select oid from pg_catalog.pg_database where datname = current_database()
            )
            and classid::bigint = hashtext('anchorline refresh')::bigint & 4294967295
            and objid::bigint = hashtext(%s)::bigint & 4294967295
        """,
        (schema,),
    ).fetchone()
    return row[0] if row else None


def _holder(connection: Connection, schema: str) -> str:
    pid = _holder_pid(connection, schema)
    if pid is None:
        return ""
    try:
        row = connection.execute(
            """
            select usename, client_addr, backend_start from pg_catalog.pg_stat_activity
            where pid = %s
            """,
            (pid,),
        ).fetchone()
    except psycopg.Error:
        row = None
    if row is None:
        return ""
    user, address, started = row
    where = f" from {address}" if address else ""
    since = f" since {started:%Y-%m-%d %H:%M:%S %Z}" if started else ""
    return f" (user {user}{where}{since}, server process {pid})"
