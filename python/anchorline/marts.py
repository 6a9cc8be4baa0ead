"""What the published marts hold: sizes, and the newest state of each batch."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

from psycopg import Connection, sql
from psycopg.errors import InsufficientPrivilege, UndefinedColumn
from psycopg.rows import class_row

from anchorline.errors import AnchorlineError

ESTIMATE_ABOVE: Final = 20_000_000
"""Rows from which on a table is not counted: the planner's estimate will do."""


@dataclass(frozen=True)
class MartSize:
    """A mart, its number of rows, and what a row is (from its description)."""

    name: str
    row_count: int
    is_estimate: bool
    grain: str


@dataclass(frozen=True)
class BatchState:
    """The newest state of a batch and its last anchor."""

    batch_number: str
    lifecycle_stage_name: str | None
    population: int
    avg_weight_g: float
    biomass_kg: float
    confidence: float | None
    last_anchor_date: date | None
    last_anchor_type: str | None


@dataclass(frozen=True)
class BatchStates:
    """The newest day of the marts, the number of active batches, the first of them."""

    state_date: date | None
    batch_count: int
    batches: list[BatchState]


def mart_sizes(connection: Connection, schema: str) -> list[MartSize]:
    """Count the rows of every table and view of the marts' schema.

    Raises AnchorlineError where the schema is not there or empty.
    """
    listed = connection.execute(
        """
        select
            pg_class.relname,
            pg_class.reltuples::bigint,
            coalesce(obj_description(pg_class.oid, 'pg_class'), '')
        from pg_class
        inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid
        where pg_namespace.nspname = %s and pg_class.relkind in ('r', 'p', 'v', 'm')
        order by pg_class.relname
        """,
        (schema,),
    ).fetchall()
    if not listed:
        raise _missing(connection, f"Schema {schema} holds no marts.")
    sizes = []
    for name, estimate, description in listed:
        is_estimate = estimate > ESTIMATE_ABOVE
        if not is_estimate:
            query = sql.SQL("select count(*) from {}").format(sql.Identifier(schema, name))
            try:
                counted = connection.execute(query).fetchone()
            except InsufficientPrivilege as error:
                raise AnchorlineError(
                    f"This user may not read {schema}.{name}. Connect as one who may (PGUSER), or "
                    "let the marts' owner grant it."
                ) from error
            estimate = counted[0] if counted else 0
        sizes.append(MartSize(name, estimate, is_estimate, _first_sentence(description)))
    return sizes


def newest_batch_states(connection: Connection, schema: str, limit: int) -> BatchStates:
    """Return the states of the newest day for the batches that have fish on it."""
    needed = ("daily_batch_states", "weight_anchors")
    absent = [
        name
        for name in needed
        if connection.execute(
            "select to_regclass(format('%%I.%%I', %s::text, %s::text)) is null", (schema, name)
        ).fetchone()
        == (True,)
    ]
    if absent:
        raise _missing(connection, f"Schema {schema} lacks {' and '.join(absent)}.")
    names = {name: sql.Identifier(schema, name) for name in needed}
    try:
        counted = connection.execute(
            sql.SQL(
                """
                select state_date, count(*)
                from {daily_batch_states}
                where
                    state_date = (select max(state_date) from {daily_batch_states})
                    and population > 0
                group by state_date
                """
            ).format(**names)
        ).fetchone()
        state_date, batch_count = counted or (None, 0)
        with connection.cursor(row_factory=class_row(BatchState)) as cursor:
            batches = cursor.execute(
                sql.SQL(
                    """
                    select
                        states.batch_number,
                        states.lifecycle_stage_name,
                        states.population,
                        states.avg_weight_g::double precision as avg_weight_g,
                        states.biomass_kg::double precision as biomass_kg,
                        states.lowest_weight_confidence::double precision as confidence,
                        last_anchors.anchor_date as last_anchor_date,
                        last_anchors.anchor_type as last_anchor_type
                    from {daily_batch_states} as states
                    left join lateral (
                        select anchors.anchor_date, anchors.anchor_type
                        from {weight_anchors} as anchors
                        where anchors.batch_id = states.batch_id and anchors.is_used
                        order by anchors.anchor_date desc, anchors.anchor_type
                        limit 1
                    ) as last_anchors on true
                    where states.state_date = %s and states.population > 0
                    order by states.batch_number
                    limit %s
                    """
                ).format(**names),
                (state_date, limit),
            ).fetchall()
    except UndefinedColumn as error:
        raise AnchorlineError(
            f"The marts in {schema} are of another release of anchorline. Run `dbt build`."
        ) from error
    return BatchStates(state_date, batch_count, batches)


def _missing(connection: Connection, found: str) -> AnchorlineError:
    database = connection.info.dbname
    return AnchorlineError(
        f"{found} (Database {database}.) Build them: `make demo` for the demo farm, or `dbt build` "
        'on your own raw tables, after eval "$(make -s env)".'
    )


def _first_sentence(description: str) -> str:
    text = " ".join(description.split())
    for mark in (". ", ": ", "; "):
        text = text.partition(mark)[0]
    return text.rstrip(".")
