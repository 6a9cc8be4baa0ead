"""What the published marts hold: sizes, and the newest state of each batch."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

from psycopg import Connection, sql
from psycopg.errors import InsufficientPrivilege, UndefinedColumn, UndefinedTable
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


def mart_sizes(connection: Connection, schema: str, *, build: str) -> list[MartSize]:
    """Count the rows of every table and view of the marts' schema.

    Raises AnchorlineError where the schema is not there or empty; ``build`` is the command
    that its message names.
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
        raise _missing(connection, f"Schema {schema} holds no marts.", build)
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


def newest_batch_states(
    connection: Connection, schema: str, limit: int, *, build: str
) -> BatchStates:
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
        raise _missing(connection, f"Schema {schema} lacks {' and '.join(absent)}.", build)
    names = {name: sql.Identifier(schema, name) for name in needed}
    try:
        counted = connection.execute(
            sql.SQL(
                """
                select newest.state_date, count(*) filter (where states.population > 0)
                from (select max(state_date) as state_date from {daily_batch_states}) as newest
                left join {daily_batch_states} as states on newest.state_date = states.state_date
                group by newest.state_date
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
            f"The marts in {schema} are of another release of anchorline. Run `{build}`."
        ) from error
    return BatchStates(state_date, batch_count, batches)


def differences_from_raw(
    connection: Connection, schema: str, staging_schema: str, newest_day: date | None
) -> list[str]:
    """Say in which way the raw tables are not those that the marts were built from.

    The raw tables are the ones that the staging views read. Two things are compared: the
    batches, and the newest day that has records (of a demo farm: its last day). Nothing is
    said where this role may not read the raw tables, or where there are none.
    """
    from anchorline.demo import loaded_farm

    try:
        raw_schema = schema_of_raw_tables(connection, staging_schema)
        if raw_schema is None:
            return []
        farm = loaded_farm(connection)
        days = (
            _other_day(farm.as_of, newest_day)
            if farm and farm.raw_schema == raw_schema
            else _later_records(connection, raw_schema, newest_day)
        )
        return [*_differing_batches(connection, schema, raw_schema), *days]
    except (InsufficientPrivilege, UndefinedTable, UndefinedColumn):
        return []


def schema_of_raw_tables(connection: Connection, staging_schema: str) -> str | None:
    """Return the schema from which the view stg_batches reads; None where it is not there."""
    row = connection.execute(
        """
        select raw_namespaces.nspname
        from pg_catalog.pg_class as views
        inner join pg_catalog.pg_namespace as view_namespaces
            on views.relnamespace = view_namespaces.oid
        inner join pg_catalog.pg_rewrite as rules on views.oid = rules.ev_class
        inner join pg_catalog.pg_depend as dependencies
            on
                rules.oid = dependencies.objid
                and dependencies.classid = 'pg_catalog.pg_rewrite'::regclass
                and dependencies.refclassid = 'pg_catalog.pg_class'::regclass
        inner join pg_catalog.pg_class as raw_tables on dependencies.refobjid = raw_tables.oid
        inner join pg_catalog.pg_namespace as raw_namespaces
            on raw_tables.relnamespace = raw_namespaces.oid
        where
            view_namespaces.nspname = %s
            and views.relname = 'stg_batches'
            and raw_tables.relname = 'batch_batch'
        limit 1
        """,
        (staging_schema,),
    ).fetchone()
    return str(row[0]) if row else None


def _differing_batches(connection: Connection, schema: str, raw_schema: str) -> list[str]:
    row = connection.execute(
        sql.SQL(
            """
            select
                count(*) filter (where built.batch_id is null),
                count(*) filter (where raw.id is null)
            from {raw} as raw
            full join {built} as built
                on raw.id = built.batch_id and raw.batch_number = built.batch_number
            """
        ).format(
            raw=sql.Identifier(raw_schema, "batch_batch"),
            built=sql.Identifier(schema, "batches"),
        )
    ).fetchone()
    new, gone = row or (0, 0)
    found = []
    if new:
        found.append(f"{_batches_of('the raw tables', new)} not in the marts")
    if gone:
        found.append(f"{_batches_of('the marts', gone)} no longer in the raw tables")
    return [", and ".join(found)] if found else []


def _batches_of(where: str, count: int) -> str:
    return f"1 batch of {where} is" if count == 1 else f"{count:,} batches of {where} are"


def _later_records(connection: Connection, raw_schema: str, newest_day: date | None) -> list[str]:
    """Compare the newest day with records; days to come are typing errors.

    Only what is alive counts: an assignment that has ended has no states after its last day,
    whatever was recorded later.
    """
    tables = {
        name: sql.Identifier(raw_schema, f"batch_{name}")
        for name in ("batch", "batchcontainerassignment", "growthsample", "mortalityevent")
    }
    row = connection.execute(
        sql.SQL(
            """
            with

            alive as (
                select assignments.id, assignments.batch_id, assignments.assignment_date
                from {batchcontainerassignment} as assignments
                inner join {batch} as batches on assignments.batch_id = batches.id
                where
                    assignments.is_active
                    and assignments.departure_date is null
                    and batches.actual_end_date is null
            ),

            days as (
                select assignment_date as record_date from alive

                union all

                select samples.sample_date as record_date
                from {growthsample} as samples
                inner join alive on samples.assignment_id = alive.id

                union all

                select max(event_date) as record_date
                from {mortalityevent}
                where
                    batch_id in (select alive.batch_id from alive)
                    and event_date <= current_date
            )

            select max(record_date) from days where record_date <= current_date
            """
        ).format(**tables)
    ).fetchone()
    last_record = row[0] if row else None
    if last_record is None or (newest_day is not None and last_record <= newest_day):
        return []
    ends = f"end on {newest_day}" if newest_day else "hold no day yet"
    return [f"the raw tables have records up to {last_record}, the marts {ends}"]


def _other_day(farm_last_day: date, newest_day: date | None) -> list[str]:
    if farm_last_day == newest_day:
        return []
    ends = f"end on {newest_day}" if newest_day else "hold no day yet"
    return [f"the demo farm ends on {farm_last_day}, the marts {ends}"]


def _missing(connection: Connection, found: str, build: str) -> AnchorlineError:
    return AnchorlineError(
        f"{found} (Database {connection.info.dbname}.) Build them: `{build}` on the raw tables "
        'that are there, after eval "$(make -s env)", or `make demo` for the demo farm in the '
        "embedded database."
    )


def _first_sentence(description: str) -> str:
    text = " ".join(description.split())
    for mark in (". ", ": ", "; "):
        text = text.partition(mark)[0]
    return text.rstrip(".")
