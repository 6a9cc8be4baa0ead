"""The refresh log: one row per refresh, written on the connection that holds the lock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from psycopg import Connection, sql

from anchorline import settings


@dataclass(frozen=True)
class Changes:
    """What a run found to have changed (int_changes)."""

    assignment_ids: tuple[int, ...]
    batch_ids: tuple[int, ...]
    from_date: date | None
    reasons: tuple[tuple[str, int], ...]
    """Reasons with the number of assignments, most frequent first."""

    @property
    def assignment_count(self) -> int:
        """How many assignments have changed."""
        return len(self.assignment_ids)


NO_CHANGES = Changes((), (), None, ())


def ops_table(target: str, name: str) -> sql.Identifier:
    """Return a table of the schema for what no model derives."""
    return sql.Identifier(settings.layer_schema("ops", target), name)


def exists(connection: Connection, target: str, name: str, layer: str = "ops") -> bool:
    """Return whether a layer's schema holds a relation of this name."""
    row = connection.execute(
        """
        select exists (
            select 1
            from pg_catalog.pg_class as relations
            inner join pg_catalog.pg_namespace as schemas
                on relations.relnamespace = schemas.oid
            where schemas.nspname = %s and relations.relname = %s
        )
        """,
        (settings.layer_schema(layer, target), name),
    ).fetchone()
    return bool(row and row[0])


def close_dead_rows(connection: Connection, target: str) -> int:
    """Mark rows that say `running` as killed: under the lock, nobody else can be running."""
    return connection.execute(
        sql.SQL(
            "update {} set outcome = 'killed', ended_at = clock_timestamp() "
            "where outcome = 'running'"
        ).format(ops_table(target, "refresh_log"))
    ).rowcount


def open_row(
    connection: Connection, target: str, *, mode: str, reason: str, batch_ids: Sequence[int] | None
) -> int:
    """Note that a refresh has begun; return its id."""
    row = connection.execute(
        sql.SQL(
            "insert into {} (mode, reason, batch_ids) values (%s, %s, %s) returning refresh_id"
        ).format(ops_table(target, "refresh_log")),
        (mode, reason, list(batch_ids) if batch_ids is not None else None),
    ).fetchone()
    assert row is not None  # noqa: S101 (an insert returns its row)
    return int(row[0])


def close_row(connection: Connection, target: str, refresh_id: int, **values: Any) -> None:
    """Note how a refresh ended: outcome, error, counts."""
    assignments = sql.SQL(", ").join(
        sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in values
    )
    connection.execute(
        sql.SQL(
            "update {} set ended_at = clock_timestamp(), {} where refresh_id = %(refresh_id)s"
        ).format(ops_table(target, "refresh_log"), assignments),
        {**values, "refresh_id": refresh_id},
    )


def last_views_fingerprint(connection: Connection, target: str) -> str | None:
    """Return the fingerprint of the views that the last refresh with views has built."""
    row = connection.execute(
        sql.SQL(
            "select views_fingerprint from {} where views_fingerprint is not null "
            "order by refresh_id desc limit 1"
        ).format(ops_table(target, "refresh_log"))
    ).fetchone()
    return row[0] if row else None


def is_covered(connection: Connection, target: str, batch_ids: Sequence[int]) -> bool:
    """Return whether refreshes have looked at all of these batches since the views were built.

    That is: by the rules and on the day that still hold.
    """
    row = connection.execute(
        sql.SQL(
            """
            with done as (
                select mode, batch_ids
                from {log}
                where
                    outcome in ('succeeded', 'invalid')
                    and refresh_id >= (
                        select max(refresh_id) from {log} where views_fingerprint is not null
                    )
            )

            select
                exists (select from done where mode <> 'batches')
                or %(batch_ids)s::bigint[]
                <@ array(select unnest(batch_ids) from done where mode = 'batches')
            """
        ).format(log=ops_table(target, "refresh_log")),
        {"batch_ids": list(batch_ids)},
    ).fetchone()
    return bool(row and row[0])


def read_changes(
    connection: Connection, target: str, invocation_id: str, table: str = "int_changes"
) -> Changes:
    """Return what a run has found to have changed."""
    if not exists(connection, target, table):
        return NO_CHANGES
    relation = ops_table(target, table)
    totals = connection.execute(
        sql.SQL(
            "select coalesce(array_agg(distinct assignment_id), '{{}}'), "
            "coalesce(array_agg(distinct batch_id) filter (where batch_id is not null), '{{}}'), "
            "min(from_date) from {} where invocation_id = %s"
        ).format(relation),
        (invocation_id,),
    ).fetchone()
    reasons = connection.execute(
        sql.SQL(
            "select reason, count(distinct assignment_id) from {} where invocation_id = %s "
            "group by reason order by 2 desc, 1"
        ).format(relation),
        (invocation_id,),
    ).fetchall()
    if totals is None:
        return NO_CHANGES
    return Changes(tuple(totals[0]), tuple(totals[1]), totals[2], tuple((r, n) for r, n in reasons))
