"""The roles of a database: who builds, who reads the marts, who states, who installs triggers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, LiteralString

import yaml
from psycopg import Connection, sql
from psycopg.errors import InsufficientPrivilege, LockNotAvailable, ReservedName

from anchorline import hints, settings
from anchorline.errors import AnchorlineError
from anchorline.raw.sources import SOURCES_FILE, read_sources

LAYERS: Final = ("staging", "intermediate", "marts", "seeds", "ops")
"""The schemas that the runner owns, after the name of the target's schema."""

MEASURED_TABLES: Final = (
    "batch_growthsample",
    "batch_transferaction",
    "health_healthsamplingevent",
    "health_treatment",
)
"""The raw tables of measurements, of which the writer sees which ids there are."""

ACTIVITY_TABLE: Final = "planning_plannedactivity"
BATCH_TABLE: Final = "batch_batch"
PIN_COLUMNS: Final = ("pinned_projection_run_id", "pinned_scenario_id")
PINNED_TABLES: Final = {
    "scenario": ("scenario_id", "name", "batch_id", "start_date"),
    "scenario_projection_run": ("run_id", "scenario_id"),
}
"""What a batch can be pinned to, and the columns by which the writer chooses."""

LONGEST_NAME: Final = 63
"""Bytes of an identifier that PostgreSQL keeps."""

LOCK_SECONDS: Final = 30
"""How long to wait for queries on a table that changes hands; they come after it, and wait too."""


@dataclass(frozen=True)
class Roles:
    """The names of the four group roles. None of them can log in; people's own roles join them."""

    runner: str
    reader: str
    writer: str
    owner: str

    @classmethod
    def of(cls, prefix: str) -> Roles:
        """Name the roles with a prefix. Raises AnchorlineError where that makes no good names."""
        names = cls(**{field.name: prefix + field.name for field in fields(cls)})
        longest = max(len(name.encode()) for name in names.all)
        if not prefix or "\0" in prefix or longest > LONGEST_NAME:
            raise AnchorlineError(
                f"The prefix {prefix!r} makes no names of roles. Give one of 1 to "
                f"{LONGEST_NAME - max(len(field.name) for field in fields(cls))} bytes, like "
                "anchorline_ (option --prefix, var role_prefix of dbt_project.yml)."
            )
        return names

    @property
    def all(self) -> tuple[str, ...]:
        """All four names."""
        return (self.runner, self.reader, self.writer, self.owner)


@dataclass(frozen=True)
class Step:
    """One statement, and, where a group of statements begins, what they are for."""

    statement: sql.Composed
    heading: str | None = None


@dataclass(frozen=True)
class RawTable:
    """A raw table that is there: who owns it, and its columns."""

    name: str
    owner: str
    columns: frozenset[str]


def make_roles(connection: Connection, target: str, *, raw_schema: str, prefix: str) -> None:
    """Make the roles and give them their rights, all or nothing. Harmless when repeated.

    Raises AnchorlineError where the connection's user may not do so.
    """
    try:
        with connection.transaction():
            statements = [step.statement for step in plan(connection, target, raw_schema, prefix)]
            _require_power(connection, raw_schema, Roles.of(prefix))
            for statement in statements:
                connection.execute(statement)
    except ReservedName as error:
        raise AnchorlineError(
            f"PostgreSQL keeps role names like {prefix}runner for itself. Choose another --prefix."
        ) from error
    except LockNotAvailable as error:
        raise AnchorlineError(
            f"A table could not change hands within {LOCK_SECONDS} seconds: somebody reads or "
            "builds it. Nothing was changed; run the command again when that is over."
        ) from error
    except InsufficientPrivilege as error:
        raise _powerless(connection, "one of the statements is refused") from error


def plan(connection: Connection, target: str, raw_schema: str, prefix: str) -> list[Step]:
    """Return the statements that make the roles, as this database needs them."""
    roles = Roles.of(prefix)
    schemas = {layer: settings.layer_schema(layer, target) for layer in LAYERS}
    tables = _raw_tables(connection, raw_schema)
    if not tables:
        raise AnchorlineError(
            f"The schema {raw_schema!r} of {hints.place(connection)} holds no raw tables that "
            "rights could be given on. Name their schema with --raw-schema, or create them first."
        )
    _refuse_powerful(connection, roles)
    return [
        *_setting_up(schemas["ops"]),
        *_creating(connection, roles),
        *_database(connection, roles),
        *_reading_raw(raw_schema, tables, roles),
        *_watching_raw(connection, tables, roles),
        *_writing_raw(connection, raw_schema, tables, roles),
        *_changing_hands(connection, schemas, roles),
        *_using_schemas(schemas, roles),
        *_using_marts(schemas["marts"], roles),
        *_using_ops(connection, schemas["ops"], prefix),
    ]


def script(connection: Connection, steps: Sequence[Step]) -> str:
    """Write the statements down for psql, in one transaction."""
    lines = ["begin;"]
    for step in steps:
        if step.heading:
            lines += ["", f"-- {step.heading}"]
        lines.append(step.statement.as_string(connection) + ";")
    return "\n".join([*lines, "", "commit;"])


# -- the statements --------------------------------------------------------------------------------


def _setting_up(ops_schema: str) -> Iterator[Step]:
    yield Step(
        sql.SQL("set local lock_timeout = {}").format(sql.Literal(f"{LOCK_SECONDS}s")),
        "not beside a dbt run that creates or grants",
    )
    # the key of macros/operations/create_ops_tables.sql
    key = 'anchorline "' + ops_schema.replace('"', '""') + '"'
    yield Step(sql.SQL("select pg_advisory_xact_lock(hashtext({}))").format(sql.Literal(key)))


def _creating(connection: Connection, roles: Roles) -> Iterator[Step]:
    there = {
        row[0]
        for row in connection.execute(
            "select rolname from pg_catalog.pg_roles where rolname = any(%s)", (list(roles.all),)
        )
    }
    missing = [name for name in roles.all if name not in there]
    for index, name in enumerate(missing):
        yield Step(
            sql.SQL("create role {} nologin").format(sql.Identifier(name)),
            None if index else "groups, which nobody logs in as",
        )


def _database(connection: Connection, roles: Roles) -> Iterator[Step]:
    database = sql.Identifier(connection.info.dbname)
    yield Step(
        sql.SQL("grant connect on database {} to {}").format(database, _names(roles.all)),
        "the database: the runner creates schemas that were dropped, and tests in temporary tables",
    )
    yield Step(
        sql.SQL("grant create, temporary on database {} to {}").format(
            database, _names([roles.runner])
        )
    )


def _reading_raw(schema: str, tables: Mapping[str, RawTable], roles: Roles) -> Iterator[Step]:
    relations = sql.SQL(",\n    ").join(sql.Identifier(schema, name) for name in tables)
    yield Step(
        sql.SQL("grant usage on schema {} to {}").format(
            sql.Identifier(schema), _names([roles.runner, roles.writer, roles.owner])
        ),
        "raw tables: the runner reads those of the models; the owner's triggers read them, too",
    )
    yield Step(
        sql.SQL("grant select on\n    {}\nto {}").format(
            relations, _names([roles.runner, roles.owner])
        )
    )
    yield Step(sql.SQL("grant trigger on\n    {}\nto {}").format(relations, _names([roles.owner])))


def _watching_raw(
    connection: Connection, tables: Mapping[str, RawTable], roles: Roles
) -> Iterator[Step]:
    """Let the owner of the raw tables have the owner's rights, which lie in the schema ops."""
    owners = sorted({table.owner for table in tables.values()})
    heading: str | None = "who owns the raw tables installs and removes triggers, too"
    for name in _lacking_membership(connection, owners, roles.owner):
        yield Step(
            sql.SQL("grant {} to {}").format(sql.Identifier(roles.owner), sql.Identifier(name)),
            heading,
        )
        heading = None


def _writing_raw(
    connection: Connection, schema: str, tables: Mapping[str, RawTable], roles: Roles
) -> Iterator[Step]:
    writer = _names([roles.writer])
    heading: str | None = (
        "raw tables: the writer plans, pins, and sees which measurements there are"
    )
    pins = [name for name in PIN_COLUMNS if name in tables[BATCH_TABLE].columns]
    for privilege, names in (("select", ["id", "batch_number", *pins]), ("update", pins)):
        if names:
            yield Step(
                sql.SQL("grant {} ({}) on {} to {}").format(
                    sql.SQL(privilege),
                    _names(names),
                    sql.Identifier(schema, BATCH_TABLE),
                    writer,
                ),
                heading,
            )
            heading = None
    for name, columns in PINNED_TABLES.items():
        there = [column for column in columns if name in tables and column in tables[name].columns]
        if there:
            yield Step(
                sql.SQL("grant select ({}) on {} to {}").format(
                    _names(there), sql.Identifier(schema, name), writer
                )
            )
    for name in MEASURED_TABLES:
        if name in tables:
            yield Step(
                sql.SQL("grant select (id) on {} to {}").format(
                    sql.Identifier(schema, name), writer
                )
            )
    activities = sql.Identifier(schema, ACTIVITY_TABLE)
    if _exists(connection, activities):
        yield Step(sql.SQL("grant select, insert on {} to {}").format(activities, writer))
        sequence = _serial_sequence(connection, schema, ACTIVITY_TABLE)
        if sequence is not None:
            yield Step(sql.SQL("grant usage on sequence {} to {}").format(sequence, writer))


def _changing_hands(
    connection: Connection, schemas: Mapping[str, str], roles: Roles
) -> Iterator[Step]:
    """Let the runner own the schemas and what is in them; who built so far joins the runner."""
    runner = sql.Identifier(roles.runner)
    # not of the schema ops: the owner creates there, and must not become a runner by that
    built = [schema for layer, schema in schemas.items() if layer != "ops"]
    builders = _builders(connection, built)
    heading: str | None = "who has built so far, or does this without being superuser, builds on"
    for builder in _lacking_membership(connection, builders, roles.runner):
        yield Step(sql.SQL("grant {} to {}").format(runner, sql.Identifier(builder)), heading)
        heading = None
    heading = "the runner owns what it builds"
    owners: dict[str, str] = dict(
        connection.execute(
            """
            select nspname, pg_get_userbyid(nspowner)
            from pg_catalog.pg_namespace
            where nspname = any(%s)
            """,
            (list(schemas.values()),),
        ).fetchall()
    )
    for schema in schemas.values():
        if owners.get(schema) != roles.runner:
            statement = (
                "alter schema {} owner to {}"
                if schema in owners
                else "create schema {} authorization {}"
            )
            yield Step(sql.SQL(statement).format(sql.Identifier(schema), runner), heading)
            heading = None
    for kind, schema, name in _belonging_to_others(
        connection, list(schemas.values()), roles.runner
    ):
        yield Step(
            sql.SQL("alter {} {} owner to {}").format(
                sql.SQL(kind), sql.Identifier(schema, name), runner
            ),
            heading,
        )
        heading = None


def _using_schemas(schemas: Mapping[str, str], roles: Roles) -> Iterator[Step]:
    # Also granted by the start of each dbt run: macros/operations/roles.sql.
    yield Step(
        sql.SQL("grant usage on schema {} to {}").format(
            sql.Identifier(schemas["marts"]), _names([roles.reader, roles.writer])
        ),
        "the schemas of the others",
    )
    yield Step(
        sql.SQL("grant usage on schema {} to {}").format(
            sql.Identifier(schemas["ops"]), _names([roles.writer, roles.owner])
        )
    )
    yield Step(
        sql.SQL("grant create on schema {} to {}").format(
            sql.Identifier(schemas["ops"]), _names([roles.owner])
        )
    )


def _using_marts(marts_schema: str, roles: Roles) -> Iterator[Step]:
    yield Step(
        sql.SQL("grant select on all tables in schema {} to {}").format(
            sql.Identifier(marts_schema), _names([roles.reader, roles.writer])
        ),
        "the marts of now; dbt grants the same on those that take their place",
    )


def _using_ops(connection: Connection, ops_schema: str, prefix: str) -> Iterator[Step]:
    heading: str | None = "the tables that people state in"
    for table, role, privilege, columns in _declared_ops_grants():
        relation = sql.Identifier(ops_schema, table)
        if _exists(connection, relation):
            there = _columns(connection, relation)
            named = None if columns is None else [name for name in columns if name in there]
            if named != []:
                yield Step(
                    sql.SQL("grant {}{} on {} to {}").format(
                        sql.SQL(privilege),
                        sql.SQL("") if named is None else sql.SQL(" ({})").format(_names(named)),
                        relation,
                        _names([prefix + role]),
                    ),
                    heading,
                )
                heading = None


# -- what is there ---------------------------------------------------------------------------------


def _raw_tables(connection: Connection, schema: str) -> dict[str, RawTable]:
    rows = connection.execute(
        """
        select
            tables.relname,
            pg_get_userbyid(tables.relowner),
            array_agg(columns.attname::text)
        from pg_catalog.pg_class as tables
        inner join pg_catalog.pg_namespace as schemas on tables.relnamespace = schemas.oid
        inner join pg_catalog.pg_attribute as columns on tables.oid = columns.attrelid
        where
            schemas.nspname = %s
            and tables.relname = any(%s)
            and tables.relkind in ('r', 'p', 'v', 'm', 'f')
            and columns.attnum > 0
            and not columns.attisdropped
        group by tables.oid
        order by tables.relname
        """,
        (schema, sorted(read_sources())),
    ).fetchall()
    tables = {name: RawTable(name, owner, frozenset(columns)) for name, owner, columns in rows}
    return tables if BATCH_TABLE in tables else {}


def _builders(connection: Connection, schemas: list[str]) -> list[str]:
    """Name the roles that own what the runner will own, and the user, who gives it away."""
    rows = connection.execute(
        """
        select pg_get_userbyid(relations.relowner)
        from pg_catalog.pg_class as relations
        inner join pg_catalog.pg_namespace as schemas on relations.relnamespace = schemas.oid
        where schemas.nspname = any(%(schemas)s) and relations.relkind in ('r', 'p', 'v', 'm', 'f')

        union

        select pg_get_userbyid(nspowner)
        from pg_catalog.pg_namespace
        where nspname = any(%(schemas)s)

        union

        select current_user
        """,
        {"schemas": schemas},
    ).fetchall()
    return [row[0] for row in rows]


def _lacking_membership(connection: Connection, names: list[str], group: str) -> list[str]:
    """Name those among some roles that lack the rights of a group, which may not be there yet."""
    rows = connection.execute(
        """
        select roles.rolname
        from pg_catalog.pg_roles as roles
        left join pg_catalog.pg_roles as groups on groups.rolname = %(group)s
        where
            roles.rolname = any(%(names)s)
            and roles.rolname != %(group)s
            and not roles.rolsuper
            and (groups.oid is null or not pg_has_role(roles.oid, groups.oid, 'usage'))
        order by roles.rolname
        """,
        {"group": group, "names": names},
    ).fetchall()
    return [row[0] for row in rows]


def _belonging_to_others(
    connection: Connection, schemas: list[str], runner: str
) -> list[tuple[LiteralString, str, str]]:
    """Name the tables, views and sequences in the schemas that somebody else owns."""
    kinds: dict[str, LiteralString] = {
        "r": "table",
        "p": "table",
        "f": "foreign table",
        "v": "view",
        "m": "materialized view",
        "S": "sequence",
    }
    rows = connection.execute(
        """
        select relations.relkind::text, schemas.nspname, relations.relname
        from pg_catalog.pg_class as relations
        inner join pg_catalog.pg_namespace as schemas on relations.relnamespace = schemas.oid
        where
            schemas.nspname = any(%s)
            and relations.relkind::text = any(%s)
            and pg_get_userbyid(relations.relowner) != %s
            -- the sequence of a column goes with its table
            and not exists (
                select 1
                from pg_catalog.pg_depend
                where
                    classid = 'pg_catalog.pg_class'::regclass
                    and objid = relations.oid
                    and deptype in ('a', 'i')
                    and relations.relkind = 'S'
            )
        order by schemas.nspname, relations.relname
        """,
        (schemas, list(kinds), runner),
    ).fetchall()
    return [(kinds[kind], schema, name) for kind, schema, name in rows]


def _declared_ops_grants() -> Iterator[tuple[str, str, LiteralString, list[str] | None]]:
    """Read (table, role, privilege, columns or None for all) from the source `ops` of the models.

    Raises AnchorlineError for a privilege that nobody should be given there.
    """
    path = settings.project_folder() / SOURCES_FILE
    content: Any = yaml.safe_load(path.read_text("utf-8"))
    known: dict[str, LiteralString] = {
        name: name for name in ("select", "insert", "update", "trigger")
    }
    for source in content["sources"]:
        if source["name"] != "ops":
            continue
        for table in source["tables"]:
            grants = ((table.get("config") or {}).get("meta") or {}).get("grants") or {}
            for role, privileges in grants.items():
                for privilege, columns in privileges.items():
                    if privilege not in known:
                        raise AnchorlineError(
                            f"{path} grants {privilege!r} on {table['name']}; expected one of "
                            f"{', '.join(known)}."
                        )
                    yield (
                        table["name"],
                        role,
                        known[privilege],
                        None if columns is True else list(columns),
                    )


def _exists(connection: Connection, relation: sql.Identifier) -> bool:
    return connection.execute(
        "select to_regclass(%s) is not null", (relation.as_string(connection),)
    ).fetchone() == (True,)


def _columns(connection: Connection, relation: sql.Identifier) -> frozenset[str]:
    rows = connection.execute(
        """
        select attname
        from pg_catalog.pg_attribute
        where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped
        """,
        (relation.as_string(connection),),
    ).fetchall()
    return frozenset(row[0] for row in rows)


def _serial_sequence(connection: Connection, schema: str, table: str) -> sql.Identifier | None:
    """Return the sequence that a column's default takes the id from; identity columns need none."""
    row = connection.execute(
        """
        select schemas.nspname, sequences.relname
        from pg_catalog.pg_depend as dependencies
        inner join pg_catalog.pg_class as sequences on dependencies.objid = sequences.oid
        inner join pg_catalog.pg_namespace as schemas on sequences.relnamespace = schemas.oid
        where
            dependencies.classid = 'pg_catalog.pg_class'::regclass
            and dependencies.refclassid = 'pg_catalog.pg_class'::regclass
            and dependencies.refobjid = to_regclass(%s)
            and dependencies.deptype = 'a'
            and sequences.relkind = 'S'
        """,
        (sql.Identifier(schema, table).as_string(connection),),
    ).fetchone()
    return sql.Identifier(row[0], row[1]) if row else None


# -- who may ---------------------------------------------------------------------------------------


def _refuse_powerful(connection: Connection, roles: Roles) -> None:
    """Refuse names that belong to roles with rights of their own."""
    row = connection.execute(
        """
        select rolname
        from pg_catalog.pg_roles
        where
            rolname = any(%s)
            and (rolsuper or rolcanlogin or rolcreaterole or rolcreatedb or rolbypassrls)
        order by rolname
        limit 1
        """,
        (list(roles.all),),
    ).fetchone()
    if row:
        raise AnchorlineError(
            f"There is a role {row[0]!r} on this server that can log in or has rights of its own, "
            "so it is not a group of ours. Choose another --prefix."
        )


def _require_power(connection: Connection, raw_schema: str, roles: Roles) -> None:
    """Raise AnchorlineError unless the user may do all of it: some grants fail with a mere note."""
    row = connection.execute(
        """
        select
            rolsuper,
            rolcreaterole,
            pg_has_role(databases.datdba, 'usage')
        from pg_catalog.pg_roles
        inner join pg_catalog.pg_database as databases on databases.datname = current_database()
        where rolname = current_user
        """
    ).fetchone()
    is_superuser, may_create_roles, owns_database = row or (False, False, False)
    if is_superuser:
        return
    if not may_create_roles:
        raise _powerless(connection, "it may not create roles")
    if not owns_database:
        raise _powerless(connection, f"it does not own database {connection.info.dbname}")
    for owner in sorted({table.owner for table in _raw_tables(connection, raw_schema).values()}):
        found = connection.execute("select pg_has_role(%s, 'usage')", (owner,)).fetchone()
        if found != (True,):
            raise _powerless(connection, f"the raw tables in {raw_schema} belong to {owner}")


def _powerless(connection: Connection, reason: str) -> AnchorlineError:
    return AnchorlineError(
        f"The user {connection.info.user!r} may not make the roles: {reason}. Connect as superuser "
        "(PGUSER), or let one run what --dry-run prints."
    )


def _names(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))
