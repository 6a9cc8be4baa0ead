"""What lies where in the database: hypertables, chunks, sizes, policies, continuous aggregates.

Catalogs alone are read, which any role may: no right on a table is needed, and no table is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from anchorline.timescale.extension import Extension, find_extension

Connection = psycopg.Connection[Any]

LARGEST_TABLES: Final = 10
"""How many plain tables are listed."""


@dataclass(frozen=True)
class Hypertable:
    """A hypertable, as the catalog and the statistics describe it.

    Rows are as the statistics say; null where nobody has counted. A chunk is partial where rows of
    it were changed since it was compressed: these lie beside the compressed ones until the policy
    compresses them again. `bytes_before` and `bytes_after` are what the compressed chunks took
    before they were compressed, and after; null where none is.
    """

    schema: str
    name: str
    time_column: str
    chunk_interval: str
    chunk_count: int
    compressed_chunk_count: int
    partial_chunk_count: int
    can_compress: bool
    row_count: int | None
    compressed_row_count: int | None
    bytes_before: int | None
    bytes_after: int | None
    total_bytes: int

    @property
    def saved_percent(self) -> float | None:
        """How much smaller the compressed chunks have become, in percent."""
        if not self.bytes_before or self.bytes_after is None:
            return None
        return 100 * (1 - self.bytes_after / self.bytes_before)

    @property
    def compressed_rows_percent(self) -> float | None:
        """Share of the rows that lie in compressed chunks, in percent of an estimate."""
        return _percent(self.compressed_row_count, self.row_count)


@dataclass(frozen=True)
class WaitingRange:
    """Times whose rows have changed since they were aggregated; `first` null: all before."""

    first: datetime | date | int | None
    last: datetime | date | int


@dataclass(frozen=True)
class ContinuousAggregate:
    """A continuous aggregate.

    What lies before `materialized_until` is stored (null: nothing is), and outdated in the ranges
    that wait for the next refresh. Later rows are aggregated when they are asked for, or are not
    there where it is `materialized_only`.
    """

    schema: str
    name: str
    source: str
    materialized_only: bool
    materialized_until: datetime | date | int | None
    waiting: tuple[WaitingRange, ...]
    chunk_count: int
    total_bytes: int


@dataclass(frozen=True)
class Policy:
    """A job that TimescaleDB runs by itself, and how its last run ended."""

    job_id: int
    kind: str
    table: str
    schedule: str
    is_scheduled: bool
    config: dict[str, Any]
    last_run_at: datetime | None
    last_status: str | None
    next_start_at: datetime | None
    run_count: int
    failure_count: int
    last_error: str | None
    """Null as well where the role may not see it."""


@dataclass(frozen=True)
class PlainTable:
    """A table that is no hypertable, with its indexes; `row_count` as the statistics say."""

    schema: str
    name: str
    row_count: int | None
    total_bytes: int


@dataclass(frozen=True)
class Info:
    """What `anchorline db info` tells."""

    server_version: str
    database: str
    database_bytes: int | None
    extension: Extension
    schemas: tuple[str, ...]
    """The schemas that were looked at, whether they are there or not."""
    hypertables: tuple[Hypertable, ...]
    continuous_aggregates: tuple[ContinuousAggregate, ...]
    policies: tuple[Policy, ...]
    largest_tables: tuple[PlainTable, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return everything by name, for JSON."""
        found = asdict(self)
        found["extension"]["meaning"] = self.extension.meaning
        for entry, hypertable in zip(found["hypertables"], self.hypertables, strict=True):
            entry["saved_percent"] = hypertable.saved_percent
            entry["compressed_rows_percent"] = hypertable.compressed_rows_percent
        return found


def gather(connection: Connection, schemas: Sequence[str]) -> Info:
    """Look at the tables of some schemas, at what aggregates them, and at the jobs on both."""
    names = tuple(dict.fromkeys(schemas))
    extension = find_extension(connection)
    version, database, size = _one(
        connection,
        # who may not connect to a database may not know its size
        "select current_setting('server_version'), current_database(), "
        "case when has_database_privilege(current_database(), 'connect') "
        "then pg_database_size(current_database()) end",
    )
    hypertables: tuple[Hypertable, ...] = ()
    aggregates: tuple[ContinuousAggregate, ...] = ()
    policies: tuple[Policy, ...] = ()
    if extension.is_usable:
        hypertables = _hypertables(connection, extension, names)
        aggregates = _continuous_aggregates(connection, extension, names)
        tables = [(table.schema, table.name) for table in hypertables]
        tables += [(table.schema, table.name) for table in aggregates]
        policies = _policies(connection, tables)
    return Info(
        server_version=version,
        database=database,
        database_bytes=size,
        extension=extension,
        schemas=names,
        hypertables=hypertables,
        continuous_aggregates=aggregates,
        policies=policies,
        largest_tables=_largest_tables(connection, names, extension),
    )


def _hypertables(
    connection: Connection, extension: Extension, schemas: Sequence[str]
) -> tuple[Hypertable, ...]:
    query = sql.SQL(
        """
        select
            hypertables.hypertable_schema::text as schema,
            hypertables.hypertable_name::text as name,
            dimensions.column_name::text as time_column,
            coalesce(dimensions.time_interval::text, dimensions.integer_interval::text)
                as chunk_interval,
            hypertables.num_chunks as chunk_count,
            chunks.compressed_count as compressed_chunk_count,
            chunks.partial_count as partial_chunk_count,
            coalesce(hypertables.compression_enabled, false) as can_compress,
            chunks.row_count,
            chunks.compressed_row_count,
            stats.before_compression_total_bytes as bytes_before,
            stats.after_compression_total_bytes as bytes_after,
            coalesce(sizes.total_bytes, 0) as total_bytes
        from timescaledb_information.hypertables
        inner join timescaledb_information.dimensions
            on
                hypertables.hypertable_schema = dimensions.hypertable_schema
                and hypertables.hypertable_name = dimensions.hypertable_name
                and dimensions.dimension_number = 1
        inner join pg_catalog.pg_namespace as namespaces
            on hypertables.hypertable_schema = namespaces.nspname
        -- not by name: a role without rights on a schema may not name its tables
        inner join pg_catalog.pg_class as relations
            on
                namespaces.oid = relations.relnamespace
                and hypertables.hypertable_name = relations.relname
        cross join lateral (
            select
                count(compressed_chunk_id) as compressed_count,
                count(*) filter (where is_partial) as partial_count,
                sum(
                    case
                        when compressed_chunk_id is null then loose_count
                        else greatest(numrows_pre_compression, loose_count)
                    end
                )::bigint as row_count,
                coalesce(
                    sum(greatest(numrows_pre_compression - coalesce(loose_count, 0), 0)), 0
                )::bigint as compressed_row_count
            from (
                select
                    compressed.chunk_id as compressed_chunk_id,
                    compressed.numrows_pre_compression,
                    compressed.chunk_id is not null and catalog.status & 8 != 0 as is_partial,
                    case
                        -- a compressed chunk may keep the count of the time before it was that
                        when compressed.chunk_id is null or catalog.status & 8 != 0
                            then nullif(chunk_relations.reltuples, -1)
                    end as loose_count
                from timescaledb_information.chunks as own
                inner join pg_catalog.pg_namespace as chunk_namespaces
                    on own.chunk_schema = chunk_namespaces.nspname
                inner join pg_catalog.pg_class as chunk_relations
                    on
                        chunk_namespaces.oid = chunk_relations.relnamespace
                        and own.chunk_name = chunk_relations.relname
                inner join _timescaledb_catalog.chunk as catalog
                    on
                        catalog.id
                        = _timescaledb_functions.chunk_id_from_relid(chunk_relations.oid)
                left join _timescaledb_catalog.compression_chunk_size as compressed
                    on catalog.id = compressed.chunk_id
                where
                    own.hypertable_schema = hypertables.hypertable_schema
                    and own.hypertable_name = hypertables.hypertable_name
            ) as counted
        ) as chunks
        left join lateral {functions}.hypertable_compression_stats(relations.oid::regclass)
            as stats on true
        left join lateral {functions}.hypertable_detailed_size(relations.oid::regclass)
            as sizes on true
        where hypertables.hypertable_schema = any(%s)
        order by total_bytes desc, schema, name
        """
    ).format(functions=sql.Identifier(extension.schema or "public"))
    with connection.cursor(row_factory=class_row(Hypertable)) as cursor:
        return tuple(cursor.execute(query, (list(schemas),)).fetchall())


def _continuous_aggregates(
    connection: Connection, extension: Extension, schemas: Sequence[str]
) -> tuple[ContinuousAggregate, ...]:
    """Describe the aggregates in the schemas, and those elsewhere over tables of the schemas."""
    rows = connection.execute(
        sql.SQL(
            """
            select
                aggregates.view_schema::text,
                aggregates.view_name::text,
                format('%%I.%%I', aggregates.hypertable_schema, aggregates.hypertable_name),
                aggregates.materialized_only,
                catalog.mat_hypertable_id,
                catalog.raw_hypertable_id,
                watermarks.watermark,
                dimensions.column_type::text,
                (
                    select count(*)
                    from _timescaledb_catalog.chunk as chunks
                    where chunks.hypertable_id = catalog.mat_hypertable_id
                ),
                coalesce(sizes.total_bytes, 0)
            from timescaledb_information.continuous_aggregates as aggregates
            inner join _timescaledb_catalog.continuous_agg as catalog
                on
                    aggregates.view_schema = catalog.user_view_schema
                    and aggregates.view_name = catalog.user_view_name
            left join _timescaledb_catalog.continuous_aggs_watermark as watermarks
                on catalog.mat_hypertable_id = watermarks.mat_hypertable_id
            left join _timescaledb_catalog.dimension as dimensions
                on
                    catalog.mat_hypertable_id = dimensions.hypertable_id
                    and dimensions.interval_length is not null
            left join pg_catalog.pg_namespace as namespaces
                on aggregates.materialization_hypertable_schema = namespaces.nspname
            left join pg_catalog.pg_class as relations
                on
                    namespaces.oid = relations.relnamespace
                    and aggregates.materialization_hypertable_name = relations.relname
            left join lateral {functions}.hypertable_detailed_size(relations.oid::regclass)
                as sizes on true
            where
                aggregates.view_schema = any(%(schemas)s)
                or aggregates.hypertable_schema = any(%(schemas)s)
            order by 1, 2
            """
        ).format(functions=sql.Identifier(extension.schema or "public")),
        {"schemas": list(schemas)},
    ).fetchall()
    found = []
    for schema, name, source, only, own_id, source_id, watermark, kind, chunks, size in rows:
        until = _time(watermark, kind)
        found.append(
            ContinuousAggregate(
                schema=schema,
                name=name,
                source=source,
                materialized_only=only,
                materialized_until=until,
                waiting=()
                if until is None
                else tuple(
                    WaitingRange(_time(first, kind), end)
                    for first, last in _waiting(connection, own_id, source_id, watermark)
                    # the time before the calendar begins waits for ever
                    if (end := _time(last, kind)) is not None
                ),
                chunk_count=chunks,
                total_bytes=size,
            )
        )
    return tuple(found)


def _waiting(
    connection: Connection, aggregate_id: int, source_id: int, watermark: int
) -> list[tuple[int, int]]:
    """Return what has changed before the watermark, as TimescaleDB counts times, merged."""
    logs = [
        ("continuous_aggs_materialization_invalidation_log", "materialization_id", aggregate_id),
        ("continuous_aggs_hypertable_invalidation_log", "hypertable_id", source_id),
    ]
    # a refresh that is under way, from 2.22 on
    ranges = "continuous_aggs_materialization_ranges"
    if _one(connection, "select to_regclass(%s)", f"_timescaledb_catalog.{ranges}")[0]:
        logs.append((ranges, "materialization_id", aggregate_id))
    found: list[tuple[int, int]] = []
    for table, column, value in logs:
        found += connection.execute(
            sql.SQL(
                "select lowest_modified_value, least(greatest_modified_value, %s - 1) from {} "
                "where {} = %s and lowest_modified_value < %s"
            ).format(sql.Identifier("_timescaledb_catalog", table), sql.Identifier(column)),
            (watermark, value, watermark),
        ).fetchall()
    return _merged(found)


def _policies(connection: Connection, tables: Sequence[tuple[str, str]]) -> tuple[Policy, ...]:
    with connection.cursor(row_factory=class_row(Policy)) as cursor:
        return tuple(
            cursor.execute(
                """
                select
                    jobs.job_id,
                    regexp_replace(jobs.proc_name, '^policy_', '') as kind,
                    format('%%I.%%I', jobs.hypertable_schema, jobs.hypertable_name) as "table",
                    jobs.schedule_interval::text as schedule,
                    jobs.scheduled as is_scheduled,
                    coalesce(jobs.config, '{}') as config,
                    -- before its first run, a job has started at -infinity
                    nullif(stats.last_run_started_at, '-infinity') as last_run_at,
                    stats.last_run_status as last_status,
                    nullif(jobs.next_start, '-infinity') as next_start_at,
                    coalesce(stats.total_runs, 0) as run_count,
                    coalesce(stats.total_failures, 0) as failure_count,
                    (
                        select errors.err_message
                        from timescaledb_information.job_errors as errors
                        where errors.job_id = jobs.job_id
                        order by errors.start_time desc
                        limit 1
                    ) as last_error
                from timescaledb_information.jobs
                inner join unnest(%s::name[], %s::name[]) as tables (schema_name, table_name)
                    on
                        jobs.hypertable_schema = tables.schema_name
                        and jobs.hypertable_name = tables.table_name
                left join timescaledb_information.job_stats as stats on jobs.job_id = stats.job_id
                order by "table", kind, jobs.job_id
                """,
                ([schema for schema, _ in tables], [name for _, name in tables]),
            ).fetchall()
        )


def _largest_tables(
    connection: Connection, schemas: Sequence[str], extension: Extension
) -> tuple[PlainTable, ...]:
    hypertables = sql.SQL(
        "and not exists (select from timescaledb_information.hypertables "
        "where hypertable_schema = namespaces.nspname and hypertable_name = relations.relname)"
        if extension.is_usable
        else ""
    )
    with connection.cursor(row_factory=class_row(PlainTable)) as cursor:
        return tuple(
            cursor.execute(
                sql.SQL(
                    """
                    select
                        namespaces.nspname::text as schema,
                        relations.relname::text as name,
                        -- -1: not counted yet
                        nullif(relations.reltuples, -1)::bigint as row_count,
                        pg_total_relation_size(relations.oid) as total_bytes
                    from pg_catalog.pg_class as relations
                    inner join pg_catalog.pg_namespace as namespaces
                        on relations.relnamespace = namespaces.oid
                    where
                        relations.relkind in ('r', 'm')
                        and namespaces.nspname = any(%s)
                        {hypertables}
                    order by total_bytes desc, schema, name
                    limit %s
                    """
                ).format(hypertables=hypertables),
                (list(schemas), LARGEST_TABLES),
            ).fetchall()
        )


def _one(connection: Connection, query: str, *values: object) -> tuple[Any, ...]:
    row = connection.execute(query.encode(), values or None).fetchone()
    if row is None:
        raise LookupError(query)
    found: tuple[Any, ...] = row
    return found


def _merged(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join ranges that overlap or touch."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged


def _time(value: int | None, kind: str | None) -> datetime | date | int | None:
    """Read a time as TimescaleDB's catalog counts it: microseconds since 1970, or an integer.

    None for its infinities, which no calendar has.
    """
    if value is None:
        return None
    if kind in ("smallint", "integer", "bigint"):
        return None if abs(value) >= 2**63 - 1 else value
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=value)
    except OverflowError:
        return None
    if kind == "date":
        return moment.date()
    return moment if kind == "timestamp with time zone" else moment.replace(tzinfo=None)


def _percent(part: int | None, whole: int | None) -> float | None:
    return None if part is None or not whole else min(100.0, 100 * part / whole)
