"""Examine a database before its first build, without changing it or reading large tables.

What the models need is declared once, in the project's `models/staging/_sources.yml`; which
indexes real instances have stands in `raw/schema.sql`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

import psycopg
from psycopg import sql

from anchorline import hints
from anchorline.errors import AnchorlineError
from anchorline.raw.schema import RAW_TABLES
from anchorline.raw.sources import SourceTable

Connection = psycopg.Connection[Any]
Level = Literal["ok", "note", "warning", "error"]

OLDEST_SERVER_VERSION: Final = 15
ANALYTICS_LAYERS: Final = ("staging", "intermediate", "marts", "ops", "seeds")
SMALL_TABLE_ROWS: Final = 10_000
"""A missing index on a table with fewer rows costs nothing."""
BYTES_PER_ROW: Final = 120
"""Taken where a table was never analyzed: what rows of readings, deaths and feed need."""

# Rough seconds of a first `dbt build`: seeds, models, data tests and unit tests. Measured on two
# cores: about 38 s for 13 000 states, 42 s for 69 000, 95 s for 1.25 million without readings (of
# these 46 s are the models, 24 s the data tests, the rest unit tests and dbt itself).
BUILD_SECONDS: Final = 36.0
BUILD_SECONDS_OF_JIT: Final = 25.0
"""What a server adds that compiles the queries of the unit tests."""
BUILD_SECONDS_PER_STATE: Final = 40e-6
BUILD_SECONDS_PER_READING: Final = 5e-6
BUILD_SECONDS_PER_EVENT: Final = 3e-6

READING_TABLE: Final = "environmental_environmentalreading"
EVENT_TABLES: Final = ("batch_mortalityevent", "inventory_feedingevent", "batch_growthsample")

# What an instance does without, in one sentence per optional table or column.
COST_OF_ABSENT: Final = {
    "health_mortalityrecord": "deaths come from batch_mortalityevent alone",
    "harvest_harvestevent": "harvests are not known: fish stay until the assignment departs",
    "harvest_harvestlot": "harvests are not known: fish stay until the assignment departs",
    "harvest_harvestlot.gutted_weight_kg": "the gutted yield of harvests is not known",
    "scenario_fcrmodelstage": "no feed is expected: production figures show the feed given alone",
    "scenario_fcr_model_stage_override": "an FCR model has one value for all weights of a stage",
    "scenario_projection_run": "a pin to a projection run is not followed",
    "scenario_scenarioprojection": "plans are computed also where a projection run is pinned",
    "planning_plannedactivity": "forecast and suggestions do not know what is planned",
    "planning_activitytemplate": "no activity is suggested",
    "broodstock_batchparentage": "no activity is suggested by breeding plans",
    "broodstock_eggproduction": "no activity is suggested by breeding plans",
    "broodstock_breedingpair": "no activity is suggested by breeding plans",
    "broodstock_breedingtraitpriority": "no activity is suggested by breeding plans",
    "scenario.duration_days": "plans are followed for 900 days, or until harvest size",
    "batch_lifecyclestage.typical_duration_days": "in plans, eggs begin to feed after 90 days",
    "health_healthsamplingevent.avg_k_factor": "health samplings without length have no condition "
    "factor",
    "batch_batch.pinned_projection_run_id": "a batch follows pinned_scenario_id, where that is "
    "there, else its first scenario",
    "batch_batch.pinned_scenario_id": "nothing where pinned_projection_run_id is there: only "
    "older instances have this column",
    "batch_batchtransferworkflow.planned_activity_id": "transfers and their measurements are not "
    "tied to planned activities",
    "batch_transferaction.measured_avg_weight_g": "weights measured in transfers are no anchors",
    "batch_transferaction.measured_std_dev_weight_g": "the spread of weights measured in transfers "
    "is not known",
    "batch_transferaction.measured_sample_size": "weights measured in transfers on one day are "
    "averaged as if one fish each was weighed",
    "batch_transferaction.selection_method": "transferred fish are taken to be average ones",
    "batch_mortalityevent.assignment_id": "deaths are shared out among the containers of the batch",
    "health_mortalityrecord.assignment_id": "deaths belong to the assignment that is active in "
    "the container",
    "health_treatment.includes_weighing": "vaccinations with weighing are no anchors",
    "health_treatment.sampling_event_id": "vaccinations with weighing are no anchors",
    "infrastructure_container.hierarchy_role": "racks and trays are not told apart",
    "infrastructure_container.parent_container_id": "racks and trays are not told apart",
}
COST_OF_ABSENT_FRESHNESS: Final = "the freshness of the table cannot be checked"
COST_OF_REQUIRED: Final = "nothing can be built without it"

_TYPE_FAMILIES: Final = {
    "smallint": "number",
    "integer": "number",
    "bigint": "number",
    "numeric": "number",
    "real": "number",
    "double precision": "number",
    "character varying": "text",
    "character": "text",
    "text": "text",
    "timestamp with time zone": "instant",
}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: what it concerns, what was found, what it costs."""

    level: Level
    subject: str
    text: str


@dataclass(frozen=True)
class TableSize:
    """What the statistics say about a raw table; `row_count` is None where they are missing."""

    table: str
    is_required: bool
    is_present: bool
    row_count: int | None


@dataclass(frozen=True)
class BuildEstimate:
    """How large the first build is; `seconds` is rough."""

    assignment_count: int
    state_count: int
    reading_count: int
    seconds: float


@dataclass
class Report:
    """All that the doctor has found."""

    target: str
    raw_schema: str
    findings: list[Finding] = field(default_factory=list)
    tables: list[TableSize] = field(default_factory=list)
    estimate: BuildEstimate | None = None

    @property
    def is_ready(self) -> bool:
        """Whether a build can succeed."""
        return not any(finding.level == "error" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data, as `--json` prints it."""
        return {"is_ready": self.is_ready, **asdict(self)}


@dataclass(frozen=True)
class _Relation:
    kind: str
    is_readable: bool
    row_count: int | None
    columns: Mapping[str, str]
    unreadable_columns: frozenset[str]
    indexes: tuple[tuple[bool, tuple[str, ...]], ...]
    """(is unique, columns) of each index that covers all rows."""


def examine(
    conn: Connection,
    *,
    target: str,
    analytics_schema: str,
    raw_schema: str,
    time_zone: str,
    sources: Mapping[str, SourceTable],
) -> Report:
    """Examine the server, the rights, the time zone and the raw tables of a database."""
    report = Report(target, raw_schema)
    try:
        conn.read_only = True
        report.findings += _server(conn)
        report.findings += _time_zone(conn, time_zone)
        report.findings += _analytics_schemas(conn, analytics_schema)
        access = list(_raw_schema(conn, raw_schema, target))
        report.findings += access
        if any(finding.level == "error" for finding in access):
            return report
        relations = _relations(conn, raw_schema, sources)
        if not relations:
            report.findings.append(
                Finding(
                    "error",
                    "raw schema",
                    f"no raw tables in schema {raw_schema!r} of {hints.place(conn)}: "
                    + _where_rows_come_from(conn, target),
                )
            )
            return report
        report.tables = _table_sizes(sources, relations)
        report.findings += _tables(conn, raw_schema, sources, relations)
        report.findings += _keys_and_indexes(sources, relations)
        report.estimate = _estimate(conn, raw_schema, relations)
        if report.estimate is not None and report.estimate.assignment_count == 0:
            report.findings.append(
                Finding(
                    "warning",
                    f"{raw_schema}.batch_batchcontainerassignment",
                    "holds no rows: the build passes and makes empty marts; "
                    f"`{hints.for_target('anchorline load DIR', target)}` brings rows",
                )
            )
    except psycopg.Error as error:
        raise AnchorlineError(
            "The database could not be examined. See the cause, and whether the server is running."
        ) from error
    return report


def _one(conn: Connection, query: str, parameters: Mapping[str, Any] | None = None) -> Any:
    row = conn.execute(query, parameters).fetchone()
    return row[0] if row else None


def _server(conn: Connection) -> Iterator[Finding]:
    version = _one(conn, "show server_version")
    number = int(_one(conn, "show server_version_num"))
    if number < OLDEST_SERVER_VERSION * 10_000:
        yield Finding(
            "error",
            "server",
            f"PostgreSQL {version}; {OLDEST_SERVER_VERSION} or newer is needed: upgrade it",
        )
    else:
        yield Finding("ok", "server", f"PostgreSQL {version}")
    encoding = _one(conn, "show server_encoding")
    if encoding != "UTF8":
        yield Finding(
            "warning",
            "encoding",
            f"the database is in {encoding}, not UTF8: names with other letters may be lost",
        )
    if _one(conn, "show jit") == "on":
        yield Finding(
            "note",
            "jit",
            "on: dbt's unit tests take about twice as long, because the server compiles each of "
            "their small queries; before `dbt build`: export PGOPTIONS='-c jit=off'",
        )
    installed = _one(
        conn, "select extversion from pg_catalog.pg_extension where extname = 'timescaledb'"
    )
    available = _one(
        conn,
        "select default_version from pg_catalog.pg_available_extensions where name = 'timescaledb'",
    )
    if installed:
        yield Finding("ok", "timescaledb", f"version {installed}")
    elif available:
        yield Finding(
            "note", "timescaledb", "on the server, but not created in this database; not needed"
        )
    else:
        yield Finding("note", "timescaledb", "not installed; not needed")


def _time_zone(conn: Connection, time_zone: str) -> Iterator[Finding]:
    session = _one(conn, "show timezone")
    server = _one(conn, "select reset_val from pg_catalog.pg_settings where name = 'TimeZone'")
    is_known = _one(
        conn,
        "select exists (select from pg_catalog.pg_timezone_names "
        "where lower(name) = lower(%(name)s))",
        {"name": time_zone},
    )
    settings = f"server {server}, this session {session}"
    if not is_known:
        yield Finding(
            "error",
            "time zone",
            f"the server does not know the time zone {time_zone!r} (var timezone); write it like "
            f"Atlantic/Faroe ({settings})",
        )
    elif server.lower() == time_zone.lower() or {server, time_zone} <= {"UTC", "Etc/UTC", "GMT"}:
        yield Finding("ok", "time zone", f"days are those of {time_zone} ({settings})")
    else:
        yield Finding(
            "note",
            "time zone",
            f"days are those of {time_zone} (var timezone; {settings}): readings, treatments and "
            "harvests near midnight fall on the day there; if the farm counts otherwise, look with "
            "--timezone NAME and build with that var",
        )


def _analytics_schemas(conn: Connection, prefix: str) -> Iterator[Finding]:
    """Look whether dbt may create or own the schemas that it writes to."""
    names = [f"{prefix}_{layer}" for layer in ANALYTICS_LAYERS]
    rows = conn.execute(
        """
        select
            nspname,
            has_schema_privilege(oid, 'create') and has_schema_privilege(oid, 'usage')
        from pg_catalog.pg_namespace
        where nspname = any(%(names)s)
        """,
        {"names": names},
    ).fetchall()
    present = dict(rows)
    database, user, may_create_schemas = conn.execute(
        "select current_database(), current_user, "
        "has_database_privilege(current_database(), 'create')"
    ).fetchone() or ("", "", False)
    absent = [name for name in names if name not in present]
    closed = [name for name, may_create in present.items() if not may_create]
    foreign = [
        row[0]
        for row in conn.execute(
            """
            select distinct namespace.nspname
            from pg_catalog.pg_class as relation
            inner join pg_catalog.pg_namespace as namespace
                on relation.relnamespace = namespace.oid
            where
                namespace.nspname = any(%(names)s)
                and relation.relkind in ('r', 'p', 'v', 'm')
                and not pg_has_role(relation.relowner, 'usage')
            order by 1
            """,
            {"names": names},
        ).fetchall()
    ]
    if absent and not may_create_schemas:
        yield Finding(
            "error",
            "rights",
            f"{user} may not create the schemas {', '.join(absent)}: "
            f"grant create on database {_quoted(conn, database)} to {_quoted(conn, user)};",
        )
    if closed:
        schemas = ", ".join(_quoted(conn, name) for name in closed)
        yield Finding(
            "error",
            "rights",
            f"{user} may not create tables in {', '.join(closed)}: "
            f"grant usage, create on schema {schemas} to {_quoted(conn, user)};",
        )
    if foreign:
        yield Finding(
            "error",
            "rights",
            f"tables in {', '.join(foreign)} belong to another role, so {user} cannot replace "
            f"them: make {user} their owner, or a member of the owner",
        )
    if not (closed or foreign or (absent and not may_create_schemas)):
        yield Finding("ok", "rights", f"{user} may write the schemas {prefix}_*")


def _raw_schema(conn: Connection, schema: str, target: str) -> Iterator[Finding]:
    user = _one(conn, "select current_user")
    is_usable = _one(
        conn,
        "select has_schema_privilege(oid, 'usage') from pg_catalog.pg_namespace "
        "where nspname = %(schema)s",
        {"schema": schema},
    )
    if is_usable is None:
        yield Finding(
            "error",
            "raw schema",
            f"no schema {schema!r} in {hints.place(conn)}: {_where_rows_come_from(conn, target)}",
        )
    elif not is_usable:
        yield Finding(
            "error",
            "raw schema",
            f"{user} may not use schema {schema!r}: grant usage on schema "
            f"{_quoted(conn, schema)} to {_quoted(conn, user)};",
        )


def _where_rows_come_from(conn: Connection, target: str) -> str:
    elsewhere = _one(
        conn,
        """
        select string_agg(namespace.nspname, ', ' order by namespace.nspname)
        from pg_catalog.pg_class as relation
        inner join pg_catalog.pg_namespace as namespace on relation.relnamespace = namespace.oid
        where
            relation.relname = 'batch_batchcontainerassignment'
            and relation.relkind in ('r', 'p', 'v', 'm', 'f')
        """,
    )
    if elsewhere:
        return (
            f"there are raw tables in {elsewhere}: look there with --raw-schema, and build with "
            "the var raw_schema set to it"
        )
    load, demo = (
        hints.for_target(command, target)
        for command in ("anchorline load DIR", "anchorline demo load")
    )
    unused = hints.unused_pg_variables(target)
    other_server = (
        f"{hints.listed(unused)} {'names' if len(unused) == 1 else 'name'} another one, which "
        "--target dev or prod looks at; or "
        if unused
        else "let --target dev or prod and the PG* variables name the database that has them, or "
        if target == "embedded"
        else "let PGDATABASE name the database that has them, or "
    )
    return f"{other_server}load them with `{load}` or `{demo}`, or set the var raw_schema"


def _relations(
    conn: Connection, schema: str, sources: Mapping[str, SourceTable]
) -> dict[str, _Relation]:
    """Read from the catalog what the schema has under the names of the sources."""
    parameters = {"schema": schema, "tables": list(sources)}
    columns: dict[str, dict[str, str]] = {}
    unreadable: dict[str, set[str]] = {}
    for table, column, data_type, is_readable in conn.execute(
        """
        select
            relation.relname,
            attribute.attname,
            format_type(attribute.atttypid, null),
            has_column_privilege(relation.oid, attribute.attnum, 'select')
        from pg_catalog.pg_class as relation
        inner join pg_catalog.pg_namespace as namespace on relation.relnamespace = namespace.oid
        inner join pg_catalog.pg_attribute as attribute on relation.oid = attribute.attrelid
        where
            namespace.nspname = %(schema)s
            and relation.relname = any(%(tables)s)
            and attribute.attnum > 0
            and not attribute.attisdropped
        order by relation.relname, attribute.attnum
        """,
        parameters,
    ):
        columns.setdefault(table, {})[column] = data_type
        if not is_readable:
            unreadable.setdefault(table, set()).add(column)
    indexes: dict[str, list[tuple[bool, tuple[str, ...]]]] = {}
    for table, is_unique, keys in conn.execute(
        """
        select
            relation.relname,
            index.indisunique,
            array(
                select attribute.attname::text
                from unnest(index.indkey::int2 []) with ordinality as key (attnum, position)
                inner join pg_catalog.pg_attribute as attribute
                    on
                        relation.oid = attribute.attrelid
                        and key.attnum = attribute.attnum
                where key.position <= index.indnkeyatts
                order by key.position
            )
        from pg_catalog.pg_index as index
        inner join pg_catalog.pg_class as relation on index.indrelid = relation.oid
        inner join pg_catalog.pg_namespace as namespace on relation.relnamespace = namespace.oid
        where
            namespace.nspname = %(schema)s
            and relation.relname = any(%(tables)s)
            and index.indisvalid
            and index.indpred is null
        """,
        parameters,
    ):
        indexes.setdefault(table, []).append((is_unique, tuple(keys)))
    # A partitioned table and a hypertable keep their rows in tables that inherit from them.
    # Where nothing was analyzed, the size on disk says how many rows there may be.
    rows = conn.execute(
        """
        with recursive tree as (
            select relation.oid as root, relation.oid as member
            from pg_catalog.pg_class as relation
            inner join pg_catalog.pg_namespace as namespace
                on relation.relnamespace = namespace.oid
            where
                namespace.nspname = %(schema)s
                and relation.relname = any(%(tables)s)
                and relation.relkind in ('r', 'p', 'v', 'm', 'f')

            union all

            select tree.root, child.inhrelid as member
            from tree
            inner join pg_catalog.pg_inherits as child on tree.member = child.inhparent
        ),

        members as (
            select
                tree.root,
                case
                    when member.relkind not in ('r', 'm') then 0
                    when member.reltuples >= 0 then member.reltuples
                    else pg_relation_size(member.oid) / %(row_bytes)s
                end as row_count
            from tree
            inner join pg_catalog.pg_class as member on tree.member = member.oid
        )

        select
            root.relname,
            root.relkind::text,
            has_table_privilege(root.oid, 'select')
                or has_any_column_privilege(root.oid, 'select'),
            case
                when root.relkind not in ('v', 'f') then sum(members.row_count)::bigint
            end
        from members
        inner join pg_catalog.pg_class as root on members.root = root.oid
        group by root.relname, root.relkind, root.oid
        """,
        {**parameters, "row_bytes": BYTES_PER_ROW},
    ).fetchall()
    return {
        table: _Relation(
            kind=kind,
            is_readable=is_readable,
            row_count=row_count,
            columns=columns.get(table, {}),
            unreadable_columns=frozenset(unreadable.get(table, ())),
            indexes=tuple(indexes.get(table, ())),
        )
        for table, kind, is_readable, row_count in rows
    }


def _table_sizes(
    sources: Mapping[str, SourceTable], relations: Mapping[str, _Relation]
) -> list[TableSize]:
    return [
        TableSize(
            table=name,
            is_required=not source.is_optional,
            is_present=name in relations,
            row_count=relations[name].row_count if name in relations else None,
        )
        for name, source in sources.items()
    ]


def _tables(
    conn: Connection,
    schema: str,
    sources: Mapping[str, SourceTable],
    relations: Mapping[str, _Relation],
) -> Iterator[Finding]:
    """Name every table and column that is missing, of another type or closed."""
    closed = []
    for name, source in sources.items():
        relation = relations.get(name)
        if relation is None:
            if source.is_optional:
                cost = COST_OF_ABSENT.get(name, "it reads as empty")
                yield Finding("note", f"table {name}", f"absent, optional: {cost}")
            else:
                yield Finding("error", f"table {name}", f"missing: {COST_OF_REQUIRED}")
            continue
        for column in source.columns:
            subject = f"column {name}.{column.name}"
            data_type = relation.columns.get(column.name)
            if data_type is None:
                if column.is_optional:
                    cost = COST_OF_ABSENT.get(
                        f"{name}.{column.name}",
                        COST_OF_ABSENT_FRESHNESS
                        if column.name in ("created_at", "updated_at")
                        else "it reads as null",
                    )
                    yield Finding("note", subject, f"absent, optional: {cost}")
                else:
                    yield Finding("error", subject, f"missing: {COST_OF_REQUIRED}")
            elif _family(data_type) != _family(column.data_type):
                cost = (
                    "the values are taken to be in the time zone of the session"
                    if data_type == "timestamp without time zone"
                    else "the build stops at the first value that cannot be read as that"
                )
                yield Finding(
                    "warning", subject, f"{data_type}, expected {column.data_type}: {cost}"
                )
        if not relation.is_readable or relation.unreadable_columns & {
            column.name for column in source.columns
        }:
            closed.append(name)
    if closed:
        user = _quoted(conn, _one(conn, "select current_user"))
        tables = ", ".join(f"{_quoted(conn, schema)}.{_quoted(conn, name)}" for name in closed)
        yield Finding(
            "error",
            "rights",
            f"not readable: {', '.join(closed)}: grant select on {tables} to {user};",
        )


def _keys_and_indexes(
    sources: Mapping[str, SourceTable], relations: Mapping[str, _Relation]
) -> Iterator[Finding]:
    """Name the ids that may repeat, and the indexes that real instances have."""
    for name, source in sources.items():
        relation = relations.get(name)
        if relation is None or source.key not in relation.columns:
            continue
        has_unique_key = any(
            is_unique
            and (
                columns == (source.key,) or (source.key_may_be_composite and source.key in columns)
            )
            for is_unique, columns in relation.indexes
        )
        if not has_unique_key:
            yield Finding(
                "warning",
                f"index on {name} ({source.key})",
                "no unique index: each build reads the whole table first, and stops where two "
                "rows have one key",
            )
        if relation.kind not in ("r", "p") or name not in RAW_TABLES:
            continue
        is_small = relation.row_count is not None and relation.row_count < SMALL_TABLE_ROWS
        leading = {columns[0] for _, columns in relation.indexes if columns}
        read = {column.name for column in source.columns}
        missing = sorted(
            {
                index.columns[0]
                for index in RAW_TABLES[name].indexes
                if not index.is_unique
                and set(index.columns) <= read
                and set(index.columns) <= set(relation.columns)
                and index.columns[0] not in leading
            }
        )
        if missing and not is_small:
            yield Finding(
                "warning",
                f"index on {name} ({'), ('.join(missing)})",
                "missing: a full build does not need it; looking at a single batch or container "
                "reads the whole table",
            )


def _estimate(
    conn: Connection, schema: str, relations: Mapping[str, _Relation]
) -> BuildEstimate | None:
    """Estimate the size of the first build, from lengths of assignments and statistics.

    Only the assignments and batches are read: some thousand rows.
    """
    assignments = relations.get("batch_batchcontainerassignment")
    batches = relations.get("batch_batch")
    if (
        assignments is None
        or batches is None
        or not assignments.is_readable
        or not batches.is_readable
        or not {"batch_id", "assignment_date", "departure_date", "is_active"}
        <= set(assignments.columns) - assignments.unreadable_columns
        or not {"id", "actual_end_date"} <= set(batches.columns) - batches.unreadable_columns
    ):
        return None
    row = conn.execute(
        sql.SQL(
            """
            select
                count(*),
                coalesce(
                    sum(
                        greatest(
                            0,
                            least(
                                coalesce(
                                    assignments.departure_date,
                                    batches.actual_end_date,
                                    current_date
                                ),
                                current_date
                            ) - assignments.assignment_date
                        )
                    ),
                    0
                )::bigint
            from {assignments} as assignments
            left join {batches} as batches on assignments.batch_id = batches.id
            """
        ).format(
            assignments=sql.Identifier(schema, "batch_batchcontainerassignment"),
            batches=sql.Identifier(schema, "batch_batch"),
        )
    ).fetchone()
    assignment_count, state_count = row or (0, 0)
    readings = _row_count(relations, [READING_TABLE])
    return BuildEstimate(
        assignment_count=assignment_count,
        state_count=state_count,
        reading_count=readings,
        seconds=build_seconds(
            state_count,
            readings,
            _row_count(relations, EVENT_TABLES),
            has_jit=_one(conn, "show jit") == "on",
        ),
    )


def build_seconds(
    state_count: int, reading_count: int, event_count: int, *, has_jit: bool = False
) -> float:
    """Return about how long a first `dbt build` with all its tests takes on two cores [s]."""
    return (
        BUILD_SECONDS
        + (BUILD_SECONDS_OF_JIT if has_jit else 0)
        + BUILD_SECONDS_PER_STATE * state_count
        + BUILD_SECONDS_PER_READING * reading_count
        + BUILD_SECONDS_PER_EVENT * event_count
    )


def _row_count(relations: Mapping[str, _Relation], tables: Iterable[str]) -> int:
    return sum(relations[table].row_count or 0 for table in tables if table in relations)


def _family(data_type: str) -> str:
    return _TYPE_FAMILIES.get(data_type, data_type)


def _quoted(conn: Connection, name: str) -> str:
    return sql.Identifier(name).as_string(conn)
