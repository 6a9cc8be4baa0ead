"""What the triggers do: the text of each trigger function, made for one instance's tables.

Which batches a row concerns says `touched_batches.sql`, which columns the models read the dbt
project's `_sources.yml`. Pure functions; nothing here asks a database.
"""

# ruff: noqa: S608  (statements are what this module makes; every name and value is quoted)

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final, Literal

from anchorline.raw.sources import SourceTable

Operation = Literal["insert", "update", "delete", "truncate"]
OPERATIONS: Final[tuple[Operation, ...]] = ("insert", "update", "delete", "truncate")

QUEUE_TABLE: Final = "change_events"
CHANNEL: Final = "anchorline_events"
"""What a listener listens to, where the triggers were installed to notify."""

FUNCTION_PREFIX: Final = "change_event_"

UNWATCHED: Final = {
    "environmental_environmentalreading": "readings arrive by the thousands, and are found by "
    "their growing id",
}
"""Raw tables that the models read and that have no trigger, each with the reason."""

UNREAD_COLUMNS: Final = frozenset({"created_at"})
"""Declared for the freshness of the sources alone."""

SETTINGS: Final[Mapping[str, str]] = {
    # what a writer can put into its own search path must not be found here
    "search_path": "pg_catalog, pg_temp",
    # a table that is being migrated must not hold the writer up
    "lock_timeout": "100ms",
    # compiling a query takes longer than to run it
    "jit": "off",
}
"""The settings that hold while a trigger function runs."""


@dataclass(frozen=True)
class TableQuery:
    """How the rows of one watched table lead to batches: a section of `touched_batches.sql`."""

    table: str
    query: str
    """Yields row_id, batch_id and from_date from `touched`; empty where only a scan will do."""
    only: str | None
    """Condition of the rows that the models read; None where they read all."""
    unused_is_event: bool
    """Whether a row for which no batch is found calls for a scan."""


@dataclass(frozen=True)
class Instance:
    """What the text of the functions depends on: names, and the columns that are there."""

    raw_schema: str
    ops_schema: str
    time_zone: str
    columns: Mapping[str, Mapping[str, str]]
    """Columns that the models read, with their types, of each table."""
    ops_tables: Collection[str]
    """Those of the tables that are in the ops schema: people write into them."""
    present: Mapping[str, Collection[str]]
    """The columns of the tables that the database has; an absent table is not in it."""
    notify: bool = False


@cache
def table_queries() -> dict[str, TableQuery]:
    """Return the watched tables, in the order of `touched_batches.sql`."""
    queries = {}
    for kind, name, attributes, query in _sections():
        if kind == "table":
            queries[name] = TableQuery(
                table=name,
                query=query,
                only=attributes.get("only"),
                unused_is_event="unused" not in attributes,
            )
    return queries


@cache
def _shared_queries() -> dict[str, str]:
    return {name: query for kind, name, _, query in _sections() if kind == "shared"}


_HEADING = re.compile(r"^-- (table|shared): (\w+)$", re.MULTILINE)
_ATTRIBUTE = re.compile(r"^-- (only|unused|scan): (.+)$")


def _sections() -> Iterator[tuple[str, str, dict[str, str], str]]:
    """Yield kind, name, attributes and query of each section, without the comments."""
    text = resources.files(__package__).joinpath("touched_batches.sql").read_text("utf-8")
    _, *parts = _HEADING.split(text)
    for kind, name, body in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        attributes = {}
        lines = []
        for line in body.strip().splitlines():
            if match := _ATTRIBUTE.match(line):
                attributes[match[1]] = match[2]
            elif not line.lstrip().startswith("--"):
                lines.append(line)
        yield kind, name, attributes, "\n".join(lines).strip()


def read_columns(sources: Mapping[str, SourceTable]) -> dict[str, dict[str, str]]:
    """Return which columns of which tables the models read, with their types."""
    return {
        table.name: {
            column.name: column.data_type
            for column in table.columns
            if column.name not in UNREAD_COLUMNS
        }
        for table in sources.values()
    }


def tables_read() -> set[str]:
    """Return the tables that some trigger function reads, beside the rows of its statement."""
    names = {name for query in table_queries().values() for name in _used_names(query.query)}
    return names - set(_shared_queries())


def function_name(table: str) -> str:
    """Return the name of a table's trigger function, in the ops schema."""
    return FUNCTION_PREFIX + table


def trigger_name(ops_schema: str, operation: Operation) -> str:
    """Return the name of a trigger: one per ops schema, so that dev and prod can share tables."""
    prefix = ops_schema.encode()[:40].decode(errors="ignore")
    return f"{prefix}_event_{operation}"


def trigger_statement(instance: Instance, table: str, operation: Operation) -> str:
    """Return the statement that creates or replaces one trigger."""
    transition_tables = {
        "insert": "referencing new table as new_rows ",
        "update": "referencing old table as old_rows new table as new_rows ",
        "delete": "referencing old table as old_rows ",
        "truncate": "",
    }[operation]
    return (
        f"create or replace trigger {_identifier(trigger_name(instance.ops_schema, operation))} "
        f"after {operation} on {_relation(instance, table)} {transition_tables}"
        f"for each statement execute function {_function(instance, table)}()"
    )


def function_statement(instance: Instance, table: str) -> str:
    """Return the statement that creates or replaces the trigger function of a table."""
    settings = "".join(f" set {name} = {value!s}" for name, value in _settings().items())
    return (
        f"create or replace function {_function(instance, table)}() returns trigger "
        f"language plpgsql security definer{settings} as {_literal(function_body(instance, table))}"
    )


def _settings() -> dict[str, str]:
    # a list of schemas is written without quotes, any other value within
    return {
        name: value if name == "search_path" else _literal(value)
        for name, value in SETTINGS.items()
    }


def triggers_statement(instance: Instance, tables: Iterable[str]) -> str:
    """Return one statement that creates or replaces all triggers of some tables."""
    statements = [
        trigger_statement(instance, table, operation) + ";"
        for table in tables
        for operation in OPERATIONS
    ]
    body = "\n".join(["begin", *statements, "end"])
    return f"do {_literal(body)}"


def function_body(instance: Instance, table: str) -> str:
    """Return the body of a table's trigger function."""
    queue = _queue(instance)
    notify = (
        f"\n    if found then\n        perform pg_notify({_literal(CHANNEL)}, '');\n    end if;"
        if instance.notify
        else ""
    )
    reason = f"{_literal(table + ' ')} || lower(tg_op)"
    return f"""
begin
    if tg_op = 'INSERT' then
{_indented(_append(instance, table, "insert"), 8)};
    elsif tg_op = 'UPDATE' then
{_indented(_append(instance, table, "update"), 8)};
    elsif tg_op = 'DELETE' then
{_indented(_append(instance, table, "delete"), 8)};
    else
        insert into {queue} (reason) values ({reason});
    end if;{notify}
    return null;
exception
    -- the write goes on, whatever is wrong here; a scan finds what it has changed
    when others then
        raise warning 'anchorline could not tell which batches this concerns (% of %): %',
            lower(tg_op), tg_relid::regclass, sqlerrm;
        begin
            insert into {queue} (reason) values ({reason});
        exception
            when others then
                raise warning 'anchorline could not note the change: %. The next scan finds it.',
                    sqlerrm;
        end;
        return null;
end
"""


def _append(instance: Instance, table: str, operation: Operation) -> str:
    """Return the statement that appends what the rows of a statement lead to."""
    query = table_queries()[table]
    touched = _touched(instance, query, operation)
    insert = f"insert into {_queue(instance)} (batch_id, from_date, reason)"
    reason = _literal(f"{table} {operation}")
    if not query.query:
        return f"""{insert}
with touched as (
{_indented(touched, 4)}
)

select null, null, {reason}
where exists (select from touched)"""

    found_or_not = "select row_id, batch_id, from_date from found"
    if query.unused_is_event:
        found_or_not += "\nunion all\nselect row_id, null, null from touched"
    found = re.sub(
        r"local_day\((\w+\.\w+)\)",
        rf"(\1 at time zone {_literal(instance.time_zone)})::date",
        query.query,
    )
    ctes = {name: f"{name} as not materialized" for name in _used_names(query.query)}
    parts = [
        f"{heading} (\n{_indented(_rows(instance, name), 4)}\n)" for name, heading in ctes.items()
    ]
    parts += [
        f"touched as (\n{_indented(touched, 4)}\n)",
        f"found as (\n{_indented(found, 4)}\n)",
        f"found_or_not as (\n{_indented(found_or_not, 4)}\n)",
    ]
    # A day that is not known, or none of the calendar, is as early as can be: null.
    # A row without any batch is told by a window, not by an anti-join: a session keeps the plan
    # of its first statement, and one that was made for a single row would be quadratic.
    return f"""{insert}
with {", ".join(parts)}

select
    batch_id,
    case
        when bool_and(coalesce(from_date between '0001-01-01' and '9999-12-31', false))
            then min(from_date)
    end,
    {reason}
from (
    select batch_id, from_date, count(batch_id) over (partition by row_id) as batch_count
    from found_or_not
) as resolved
where batch_id is not null or batch_count = 0
group by batch_id"""


def _touched(instance: Instance, query: TableQuery, operation: Operation) -> str:
    columns = _column_list(instance, query.table)
    where = f" where {query.only}" if query.only else ""

    def rows(transition_table: str) -> str:
        # a condition may name a column that this instance lacks
        selected = f"select {columns} from {transition_table}"
        return f"select * from ({selected}) as read_columns{where}" if where else selected

    if operation == "update":
        return f"""select row_number() over () as row_id, changed.*
from (
    ({rows("old_rows")} except all {rows("new_rows")})
    union all
    ({rows("new_rows")} except all {rows("old_rows")})
) as changed"""
    transition_table = "new_rows" if operation == "insert" else "old_rows"
    return f"""select row_number() over () as row_id, written.*
from ({rows(transition_table)}) as written"""


_FROM = re.compile(r"\b(?:from|join) (\w+)")


def _used_names(query: str) -> list[str]:
    """Return the tables and shared queries that a query reads, those first that others need."""
    names: list[str] = []
    for name in _FROM.findall(query):
        if name == "touched":
            continue
        shared = _shared_queries().get(name)
        names += _used_names(shared) if shared else []
        names.append(name)
    return list(dict.fromkeys(names))


def _rows(instance: Instance, name: str) -> str:
    shared = _shared_queries().get(name)
    if shared:
        return shared
    columns = _column_list(instance, name)
    if name not in instance.present:
        return f"select {columns} where false"
    return f"select {columns} from {_relation(instance, name)}"


def _column_list(instance: Instance, table: str) -> str:
    present = instance.present.get(table, ())
    return ", ".join(
        _identifier(name) if name in present else f"null::{data_type} as {_identifier(name)}"
        for name, data_type in instance.columns[table].items()
    )


def _relation(instance: Instance, table: str) -> str:
    schema = instance.ops_schema if table in instance.ops_tables else instance.raw_schema
    return f"{_identifier(schema)}.{_identifier(table)}"


def _function(instance: Instance, table: str) -> str:
    return f"{_identifier(instance.ops_schema)}.{_identifier(function_name(table))}"


def _queue(instance: Instance) -> str:
    return f"{_identifier(instance.ops_schema)}.{QUEUE_TABLE}"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    escaped = text.replace("'", "''")
    return f"E'{escaped.replace(chr(92), chr(92) * 2)}'" if "\\" in text else f"'{escaped}'"


def _indented(text: str, width: int) -> str:
    margin = " " * width
    return "\n".join(margin + line if line else line for line in text.splitlines())
