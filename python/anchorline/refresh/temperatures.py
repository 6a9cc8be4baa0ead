"""The continuous aggregate of the temperature readings: bringing it up to date."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import psycopg
from psycopg import Connection, sql

from anchorline import settings

AGGREGATE = "container_day_temperatures"
"""Its name, in the schema of the intermediate models (macros/timescale/readings_aggregate.sql)."""


def aggregate_readings(
    connection: Connection,
    target: str,
    *,
    first_day: date | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> bool:
    """Aggregate the readings that have changed since, on a day or later (None: on any day).

    Needs a connection in autocommit. Returns False where there is no aggregate. Its failure, as
    beside its own hourly run, is told and does no harm: days that are not aggregated are read
    from the readings.
    """
    schema = settings.layer_schema("intermediate", target)
    found = connection.execute(
        """
        select quote_ident(schemas.nspname), views.oid::regclass::text
        from pg_catalog.pg_extension as extensions
        inner join pg_catalog.pg_namespace as schemas on extensions.extnamespace = schemas.oid
        cross join pg_catalog.pg_class as views
        where
            extensions.extname = 'timescaledb'
            and views.relkind = 'v'
            and views.relname = %s
            and views.relnamespace = to_regnamespace(quote_ident(%s))
        """,
        (AGGREGATE, schema),
    ).fetchone()
    if found is None:
        return False
    functions, view = found
    try:
        connection.execute(
            sql.SQL("call {}.refresh_continuous_aggregate({}, {}::timestamptz, null)").format(
                sql.SQL(functions),
                sql.Literal(view),
                sql.Literal(first_day.isoformat() if first_day else None),
            )
        )
    except psycopg.Error as error:
        if connection.broken:
            raise
        tell(f"The daily temperatures were not aggregated, and are read instead: {error}")
    return True
