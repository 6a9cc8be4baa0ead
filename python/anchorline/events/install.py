"""Install, remove and examine the triggers that queue changes.

Writers come first: an installation takes the locks it needs at once or not at all, all in one
transaction, and the trigger functions neither wait nor fail (see `watched.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final, Literal, TypeVar

import psycopg
from psycopg import sql

from anchorline import settings
from anchorline.errors import AnchorlineError
from anchorline.events.watched import (
    FUNCTION_PREFIX,
    OPERATIONS,
    QUEUE_TABLE,
    SETTINGS,
    Instance,
    function_body,
    function_name,
    function_statement,
    read_columns,
    table_queries,
    tables_read,
    trigger_name,
    triggers_statement,
)
from anchorline.raw.sources import SourceTable, project_variable, read_sources

Connection = psycopg.Connection[Any]

FAILURES_TABLE: Final = "event_failures"
QUEUE_TABLES: Final = (QUEUE_TABLE, FAILURES_TABLE)

LOCK_TIMEOUT_MS: Final = 300
"""How long writers may queue up behind an installation that waits for a table ..."""
LOCKING_TIMEOUT_MS: Final = 1500
"""... and how long the tables that it has already may be held."""
PAUSE_SECONDS: Final = 0.5

Result = TypeVar("Result")
State = Literal["installed", "missing", "outdated", "disabled", "absent", "unsupported"]


@dataclass(frozen=True)
class TableStatus:
    """Whether the writes to one table are noticed; `detail` says what is wrong, or empty."""

    table: str
    schema: str
    state: State
    detail: str = ""
    is_optional: bool = False
    """Whether the models do without the table."""
    has_triggers: bool = False

    @property
    def wants_install(self) -> bool:
        """Whether an installation would change something."""
        return self.state in ("missing", "outdated", "disabled")


@dataclass(frozen=True)
class Installed:
    """What the database has of the triggers."""

    tables: tuple[TableStatus, ...]
    obsolete: tuple[str, ...]
    """Trigger functions that no watched table has, or that serve another table as well."""
    notify: bool
    has_queue: bool

    @property
    def is_installed(self) -> bool:
        """Whether there is any trigger at all."""
        return bool(self.obsolete) or any(
            table.state in ("installed", "outdated", "disabled") for table in self.tables
        )

    @property
    def is_complete(self) -> bool:
        """Whether every write that the models could read is noticed."""
        return (
            self.has_queue
            and not self.obsolete
            and not any(table.wants_install for table in self.tables)
        )


@dataclass(frozen=True)
class Place:
    """Which raw tables are watched, for which ops schema, with which day of an instant."""

    raw_schema: str
    ops_schema: str
    time_zone: str
    raw_sources: dict[str, SourceTable]
    ops_sources: dict[str, SourceTable]

    def schema_of(self, table: str) -> str:
        """Return the schema of a watched table."""
        return self.ops_schema if table in self.ops_sources else self.raw_schema


def project_place(
    target: str, raw_schema: str | None = None, time_zone: str | None = None
) -> Place:
    """Return the place of a target's queue and raw tables, as the project's vars say."""
    return Place(
        raw_schema=raw_schema or project_variable("raw_schema", "public"),
        ops_schema=settings.layer_schema("ops", target),
        time_zone=time_zone or project_variable("timezone", "UTC"),
        raw_sources=read_sources(),
        ops_sources=read_sources(source_name="ops"),
    )


def examine(conn: Connection, place: Place, *, notify: bool | None = None) -> Installed:
    """Compare the triggers of a database with what they should be; changes nothing.

    Without `notify`, what is installed is taken to be wanted.
    """
    relations = _relations(conn, place)
    functions = _functions(conn, place.ops_schema)
    triggers = _triggers(conn, place.ops_schema)
    notifies = any("pg_notify(" in function.source for function in functions.values())
    instance = _instance(conn, place, notify=notifies if notify is None else notify)
    tables = []
    obsolete = [
        name
        for name in functions
        if not any(name == function_name(table) for table in table_queries())
    ]
    for table in table_queries():
        schema = place.schema_of(table)
        name = function_name(table)
        own = [trigger for trigger in triggers if trigger.function == name]
        if any(trigger.relation != (schema, table) for trigger in own):
            obsolete.append(name)
        source = place.raw_sources.get(table)
        state, detail = _state(
            instance, table, relations.get((schema, table)), functions.get(name), own
        )
        tables.append(
            TableStatus(
                table=table,
                schema=schema,
                state=state,
                detail=detail,
                is_optional=source is not None and source.is_optional,
                has_triggers=not _trigger_faults(place.ops_schema, own),
            )
        )
    has_queue = all((place.ops_schema, table) in relations for table in QUEUE_TABLES)
    return Installed(tuple(tables), tuple(sorted(obsolete)), notifies, has_queue)


def install(
    conn: Connection, place: Place, *, notify: bool = False, wait_seconds: float = 30.0
) -> list[TableStatus]:
    """Create the triggers that are missing or outdated; return the tables that they are on.

    The connection is in autocommit mode: the installation is one transaction of its own, tried
    again for `wait_seconds` where a table is in use. The functions belong to the owner of the
    raw tables, whoever calls.
    """

    def attempt() -> list[TableStatus]:
        _become_owner(conn, place)
        _require_own_functions(conn, place)
        _make_queue(conn, place.ops_schema)
        found = examine(conn, place, notify=notify)
        _require_rights(conn, place, found)
        if found.obsolete:
            _drop_functions(conn, place.ops_schema, found.obsolete)
            found = examine(conn, place, notify=notify)
        instance = _instance(conn, place, notify=notify)
        changed = [table for table in found.tables if table.wants_install]
        for table in changed:
            conn.execute(sql.SQL(function_statement(instance, table.table)))
            _describe(conn, place.ops_schema, table.table)
        # a function alone is replaced without a lock on its table
        bare = [table.table for table in changed if not table.has_triggers]
        if bare:
            _in_short_time(conn, sql.SQL(triggers_statement(instance, bare)))
        return changed

    return _in_free_moment(conn, place, attempt, wait_seconds)


def remove(
    conn: Connection, place: Place, *, purge: bool = False, wait_seconds: float = 30.0
) -> list[str]:
    """Drop all triggers and their functions; return the tables that had some.

    The queue is kept, so that what is in it can still be refreshed; `purge` drops its tables.
    """

    def attempt() -> list[str]:
        _require_own_functions(conn, place)
        tables = sorted({trigger.relation[1] for trigger in _triggers(conn, place.ops_schema)})
        _drop_functions(conn, place.ops_schema, _functions(conn, place.ops_schema))
        if purge:
            for table in QUEUE_TABLES:
                name = sql.Identifier(place.ops_schema, table)
                conn.execute(sql.SQL("drop table if exists {}").format(name))
        return tables

    return _in_free_moment(conn, place, attempt, wait_seconds)


def _in_free_moment(
    conn: Connection, place: Place, attempt: Callable[[], Result], wait_seconds: float
) -> Result:
    """Run `attempt` in a transaction, again and again while a lock cannot be had."""
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            with conn.transaction():
                conn.execute(f"set local lock_timeout = {LOCK_TIMEOUT_MS}")
                conn.execute(
                    "select pg_advisory_xact_lock(hashtext(%s))",
                    (f"anchorline events {place.ops_schema}",),
                )
                return attempt()
        except psycopg.errors.LockNotAvailable as error:
            if time.monotonic() > deadline:
                raise AnchorlineError(
                    f"A table is in use, and stayed so for {wait_seconds:.0f} s; nothing was "
                    f"changed. {_holders(conn, place)} Try again when it is done, or wait longer "
                    "with --wait."
                ) from error
            time.sleep(PAUSE_SECONDS)
        except psycopg.errors.InsufficientPrivilege as error:
            raise AnchorlineError(
                f"The role {_current_role(conn)} may not do this. Run it as the owner of the raw "
                f"tables, with the rights that docs/events.md lists."
            ) from error


def _become_owner(conn: Connection, place: Place) -> None:
    """Let a superuser act as the owner of the raw tables until the transaction ends.

    The functions run with the rights of the role that creates them: those of a superuser would
    be more than they need.
    """
    row = conn.execute(
        """
        select
            pg_get_userbyid(relation.relowner),
            (select rolsuper from pg_catalog.pg_roles where rolname = current_user)
        from pg_catalog.pg_class as relation
        inner join pg_catalog.pg_namespace as namespace on relation.relnamespace = namespace.oid
        where
            namespace.nspname = %s and relation.relname = any(%s) and relation.relkind in ('r', 'p')
        order by relation.relname <> 'batch_batchcontainerassignment', relation.relname
        limit 1
        """,
        (place.raw_schema, list(place.raw_sources)),
    ).fetchone()
    if row is None:
        raise AnchorlineError(
            f'The schema "{place.raw_schema}" holds no table of the operational system. '
            "Name the right one with --raw-schema."
        )
    owner, is_superuser = row
    if is_superuser and owner != _current_role(conn):
        conn.execute(sql.SQL("set local role {}").format(sql.Identifier(owner)))


def _require_own_functions(conn: Connection, place: Place) -> None:
    functions = _functions(conn, place.ops_schema).values()
    strange = sorted({function.owner for function in functions if not function.is_ours})
    if strange:
        raise AnchorlineError(
            f"The trigger functions belong to {' and '.join(strange)}, and the role "
            f"{_current_role(conn)} may not change them. Run this as {strange[0]}."
        )


def _make_queue(conn: Connection, ops_schema: str) -> None:
    """Create the ops schema and the queue's tables where they are missing, as dbt would."""
    found = conn.execute("select to_regnamespace(quote_ident(%s)) is not null", (ops_schema,))
    if found.fetchone() != (True,):
        try:
            with conn.transaction():
                conn.execute(sql.SQL("create schema {}").format(sql.Identifier(ops_schema)))
        except psycopg.errors.InsufficientPrivilege as error:
            role = sql.Identifier(_current_role(conn)).as_string(conn)
            raise AnchorlineError(
                f'The schema "{ops_schema}" is not there, and the role {role} may not create it. '
                "Run `dbt build` first, which does, or let the owner of the database run: "
                f"grant create on database "
                f"{sql.Identifier(conn.info.dbname).as_string(conn)} to {role};"
            ) from error
    statements = queue_table_statements(sql.Identifier(ops_schema).as_string(conn))
    for table, statement in statements.items():
        if not _table_exists(conn, ops_schema, table):
            try:
                with conn.transaction():
                    conn.execute(sql.SQL(statement))
            except psycopg.errors.InsufficientPrivilege as error:
                raise AnchorlineError(
                    f"{ops_schema}.{table} is not there, and the role {_current_role(conn)} may "
                    "not create it. Run `dbt build` first, which does."
                ) from error


def queue_table_statements(ops_schema: str) -> dict[str, str]:
    """Return what creates each of the queue's tables; `ops_schema` as it stands in SQL."""
    text = resources.files(__package__).joinpath("queue_tables.sql").read_text("utf-8")
    _, *bodies = text.split("create table ")
    statements = ["create table " + body.strip() for body in bodies]
    return {
        table: statement.replace("{ops}", ops_schema)
        for table, statement in zip(QUEUE_TABLES, statements, strict=True)
    }


def _require_rights(conn: Connection, place: Place, found: Installed) -> None:
    """Name at once all rights that the owner lacks, as the grants that would give them."""
    role = sql.Identifier(_current_role(conn)).as_string(conn)
    ops = sql.Identifier(place.ops_schema).as_string(conn)
    grants = []
    for right in ("usage", "create"):
        row = conn.execute(
            "select has_schema_privilege(oid, %s) from pg_catalog.pg_namespace where nspname = %s",
            (right, place.ops_schema),
        ).fetchone()
        if row != (True,):
            grants.append(f"grant {right} on schema {ops} to {role};")
    wanted = [(place.ops_schema, QUEUE_TABLE, "insert")]
    watched = {
        table.table for table in found.tables if table.state not in ("absent", "unsupported")
    }
    wanted += [(place.schema_of(table), table, "trigger") for table in sorted(watched)]
    wanted += [(place.schema_of(table), table, "select") for table in sorted(tables_read())]
    for schema, table_name, right in wanted:
        row = conn.execute(
            """
            select has_table_privilege(relation.oid, %s)
            from pg_catalog.pg_class as relation
            inner join pg_catalog.pg_namespace as namespace on relation.relnamespace = namespace.oid
            where namespace.nspname = %s and relation.relname = %s
            """,
            (right, schema, table_name),
        ).fetchone()
        if row == (False,):
            name = sql.Identifier(schema, table_name).as_string(conn)
            grants.append(f"grant {right} on {name} to {role};")
    if grants:
        raise AnchorlineError(
            f"The role {role} lacks rights; nothing was changed. Run this as the owner of the raw "
            "tables, or let the owners of these objects run:",
            details="\n".join(grants),
        )


def _in_short_time(conn: Connection, statement: sql.SQL | sql.Composed) -> None:
    """Run a statement that locks tables one after the other, or give up soon."""
    conn.execute(f"set local statement_timeout = {LOCKING_TIMEOUT_MS}")
    try:
        conn.execute(statement)
    except psycopg.errors.QueryCanceled as error:
        raise psycopg.errors.LockNotAvailable(str(error)) from error
    conn.execute("set local statement_timeout = 0")


def _describe(conn: Connection, ops_schema: str, table: str) -> None:
    function = sql.Identifier(ops_schema, function_name(table))
    conn.execute(
        sql.SQL("comment on function {}() is {}").format(
            function, f"Queues which batches a write to {table} concerns (anchorline events)."
        )
    )
    # only the triggers need it, and they do not ask for this right
    conn.execute(sql.SQL("revoke execute on function {}() from public").format(function))


def _drop_functions(conn: Connection, ops_schema: str, names: Iterable[str]) -> None:
    functions = [sql.SQL("{}()").format(sql.Identifier(ops_schema, name)) for name in sorted(names)]
    if functions:
        # with their triggers, also those on tables that belong to somebody else
        statement = sql.SQL("drop function {} cascade").format(sql.SQL(", ").join(functions))
        _in_short_time(conn, statement)


@dataclass(frozen=True)
class _Function:
    source: str
    settings: tuple[str, ...]
    is_security_definer: bool
    is_public: bool
    owner: str
    is_ours: bool
    """Whether the current role is its owner, or a member of it."""
    may_write: bool
    """Whether its owner may insert into the queue."""


@dataclass(frozen=True)
class _Trigger:
    name: str
    function: str
    relation: tuple[str, str]
    is_enabled: bool


def _state(
    instance: Instance,
    table: str,
    kind: str | None,
    function: _Function | None,
    triggers: list[_Trigger],
) -> tuple[State, str]:
    if kind is None:
        return "absent", "no such table"
    if kind not in ("r", "p"):
        return "unsupported", "not a table of its own: only a scan finds what changes"
    if function is None:
        return "missing", ""
    faults = _trigger_faults(instance.ops_schema, triggers)
    if not triggers:
        return "missing", ""
    if any(not trigger.is_enabled for trigger in triggers):
        return "disabled", "somebody has disabled a trigger"
    if function.source != function_body(instance, table):
        faults.append("made by another version, or for other columns, days or schemas")
    if set(function.settings) != {f"{name}={value}" for name, value in SETTINGS.items()}:
        faults.append("runs with other settings")
    if not function.is_security_definer or function.is_public:
        faults.append("runs with other rights")
    if not function.may_write:
        faults.append(f"its owner, {function.owner}, may not write to the queue")
    return ("outdated", "; ".join(faults)) if faults else ("installed", "")


def _trigger_faults(ops_schema: str, triggers: list[_Trigger]) -> list[str]:
    names = {trigger.name for trigger in triggers if trigger.is_enabled}
    lacking = [
        operation for operation in OPERATIONS if trigger_name(ops_schema, operation) not in names
    ]
    return [f"no trigger for {', '.join(lacking)}"] if lacking else []


def _instance(conn: Connection, place: Place, *, notify: bool) -> Instance:
    rows = conn.execute(
        """
        select relation.relname, array_agg(attribute.attname::text)
        from pg_catalog.pg_attribute as attribute
        inner join pg_catalog.pg_class as relation on attribute.attrelid = relation.oid
        inner join pg_catalog.pg_namespace as namespace on relation.relnamespace = namespace.oid
        where
            (
                (namespace.nspname = %s and relation.relname = any(%s))
                or (namespace.nspname = %s and relation.relname = any(%s))
            )
            and relation.relkind in ('r', 'p', 'v', 'm', 'f')
            and attribute.attnum > 0
            and not attribute.attisdropped
        group by relation.relname
        """,
        (
            place.raw_schema,
            list(place.raw_sources),
            place.ops_schema,
            list(place.ops_sources),
        ),
    ).fetchall()
    return Instance(
        raw_schema=place.raw_schema,
        ops_schema=place.ops_schema,
        time_zone=place.time_zone,
        columns=read_columns(place.raw_sources | place.ops_sources),
        ops_tables=frozenset(place.ops_sources),
        present={table: frozenset(names) for table, names in rows},
        notify=notify,
    )


def _relations(conn: Connection, place: Place) -> dict[tuple[str, str], str]:
    """Return the tables that are there, with their `relkind`, or `h` for a hypertable."""
    rows = conn.execute(
        """
        select namespace.nspname, relation.relname, relation.relkind::text
        from pg_catalog.pg_class as relation
        inner join pg_catalog.pg_namespace as namespace on relation.relnamespace = namespace.oid
        where
            relation.relkind in ('r', 'p', 'v', 'm', 'f')
            and (
                (namespace.nspname = %s and relation.relname = any(%s))
                or (namespace.nspname = %s and relation.relname = any(%s))
            )
        """,
        (
            place.raw_schema,
            list(place.raw_sources),
            place.ops_schema,
            [*place.ops_sources, *QUEUE_TABLES],
        ),
    ).fetchall()
    relations = {(schema, table): kind for schema, table, kind in rows}
    found = conn.execute("select to_regclass('timescaledb_information.hypertables') is not null")
    if found.fetchone() == (True,):
        # whose triggers have no transition tables in many versions
        hypertables = conn.execute(
            "select hypertable_schema::text, hypertable_name::text "
            "from timescaledb_information.hypertables"
        ).fetchall()
        relations |= {name: "h" for name in hypertables if name in relations}
    return relations


def _functions(conn: Connection, ops_schema: str) -> dict[str, _Function]:
    rows = conn.execute(
        """
        select
            function.proname, function.prosrc, coalesce(function.proconfig, '{}'),
            function.prosecdef, pg_get_userbyid(function.proowner),
            pg_has_role(function.proowner, 'usage'),
            function.proacl is null or exists (
                select from aclexplode(function.proacl) as entry where entry.grantee = 0
            ),
            coalesce(has_table_privilege(function.proowner, queue.oid, 'insert'), false)
        from pg_catalog.pg_proc as function
        inner join pg_catalog.pg_namespace as namespace on function.pronamespace = namespace.oid
        left join pg_catalog.pg_class as queue
            on namespace.oid = queue.relnamespace and queue.relname = %s
        where
            namespace.nspname = %s
            and function.prorettype = 'pg_catalog.trigger'::regtype
            and starts_with(function.proname, %s)
        order by function.proname
        """,
        (QUEUE_TABLE, ops_schema, FUNCTION_PREFIX),
    ).fetchall()
    return {
        name: _Function(
            source=source,
            settings=tuple(settings),
            is_security_definer=is_security_definer,
            is_public=is_public,
            owner=owner,
            is_ours=is_ours,
            may_write=may_write,
        )
        for (
            name,
            source,
            settings,
            is_security_definer,
            owner,
            is_ours,
            is_public,
            may_write,
        ) in rows
    }


def _triggers(conn: Connection, ops_schema: str) -> list[_Trigger]:
    rows = conn.execute(
        """
        select
            trigger.tgname, function.proname, table_schema.nspname, relation.relname,
            trigger.tgenabled <> 'D'
        from pg_catalog.pg_trigger as trigger
        inner join pg_catalog.pg_proc as function on trigger.tgfoid = function.oid
        inner join pg_catalog.pg_namespace as namespace on function.pronamespace = namespace.oid
        inner join pg_catalog.pg_class as relation on trigger.tgrelid = relation.oid
        inner join pg_catalog.pg_namespace as table_schema
            on relation.relnamespace = table_schema.oid
        where namespace.nspname = %s and starts_with(function.proname, %s)
        order by relation.relname, trigger.tgname
        """,
        (ops_schema, FUNCTION_PREFIX),
    ).fetchall()
    return [
        _Trigger(name, function, (schema, relation), is_enabled)
        for name, function, schema, relation, is_enabled in rows
    ]


def _holders(conn: Connection, place: Place) -> str:
    """Say which sessions hold the watched tables, as far as the role may see them."""
    rows: list[tuple[Any, ...]] = []
    with suppress(psycopg.Error):
        rows = conn.execute(
            """
            select
                relation.relname, activity.pid, activity.usename,
                coalesce(nullif(activity.application_name, ''), 'no name'),
                date_trunc('second', clock_timestamp() - activity.xact_start)
            from pg_catalog.pg_locks as lock
            inner join pg_catalog.pg_class as relation on lock.relation = relation.oid
            inner join pg_catalog.pg_namespace as namespace on relation.relnamespace = namespace.oid
            inner join pg_catalog.pg_stat_activity as activity on lock.pid = activity.pid
            where
                lock.database = (
                    select oid from pg_catalog.pg_database where datname = current_database()
                )
                and lock.granted
                and lock.pid <> pg_backend_pid()
                and (
                    (namespace.nspname = %s and relation.relname = any(%s))
                    or (namespace.nspname = %s and relation.relname = any(%s))
                )
            order by activity.xact_start, relation.relname
            limit 3
            """,
            (
                place.raw_schema,
                list(table_queries()),
                place.ops_schema,
                [*place.ops_sources, *QUEUE_TABLES],
            ),
        ).fetchall()
    if not rows:
        return "The session that held it has just ended."
    sessions = "; ".join(
        f"process {pid} ({name}, role {role}) holds {table} for {held}"
        for table, pid, role, name, held in rows
    )
    return f"In use by: {sessions}."


def _current_role(conn: Connection) -> str:
    row = conn.execute("select current_user").fetchone()
    return str(row[0]) if row else ""


def _table_exists(conn: Connection, schema: str, table: str) -> bool:
    row = conn.execute(
        """
        select from pg_catalog.pg_class as relation
        inner join pg_catalog.pg_namespace as namespace on relation.relnamespace = namespace.oid
        where namespace.nspname = %s and relation.relname = %s and relation.relkind in ('r', 'p')
        """,
        (schema, table),
    ).fetchone()
    return row is not None
