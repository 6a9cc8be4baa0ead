"""Where the suites' tables are in a database, and how their SQL is written for it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

import psycopg
from psycopg import sql

from anchorline import settings
from anchorline.errors import AnchorlineError
from anchorline.expectations.limits import Limit
from anchorline.expectations.suites import (
    BATCH,
    DAYS,
    FARM,
    LAYERS,
    RELATION,
    SHAPE_TYPE,
    Expectation,
    Relation,
)
from anchorline.raw.sources import project_variable

MOST_ROWS = 200
"""Failing rows that are fetched and shown in the Data Docs, at most; all are counted."""

_PLACEHOLDER = re.compile(r"\{(?:all:)?(var:\w+|as_of|" + "|".join(LAYERS) + r")\}")


@dataclass(frozen=True)
class Names:
    """What the placeholders of the suites stand for on one target.

    With a `limit`, tables are read through common table expressions in front of a query, which
    leave the rows of other lineages out; `columns` (by schema and table) say which rows those
    are. `Catalogue.limited` makes such names.
    """

    schemas: Mapping[str, str]
    as_of: date
    variables: Mapping[str, Any] = field(default_factory=dict)
    limit: Limit | None = None
    columns: Mapping[tuple[str, str], Collection[str]] = field(default_factory=dict)

    def schema(self, relation: Relation) -> str:
        """Return the schema that holds the relation."""
        return self.schemas[relation.layer]

    def batch_query(self, relation: Relation) -> str:
        """Return a query for the columns of the relation, in letters, digits and quotes alone.

        The library compiles it to text and back: a percent sign or a colon would not survive.
        And it fetches all that the query finds, only to learn the columns: so it finds nothing.
        """
        named = f"{_spelt(self.schema(relation))}.{_spelt(relation.name)}"
        return f"select * from {named} limit 0"  # noqa: S608

    def render(self, template: str) -> str:
        """Fill in the placeholders: schemas as quoted identifiers, all else as literals."""
        return _PLACEHOLDER.sub(self._value, template)

    def query(self, expectation: Expectation) -> str | None:
        """Return the query for the rows that fail, with their number beside each of them."""
        if expectation.query is None:
            return None
        # the first day is compared with the day before
        begin, body = self._limited(expectation, expectation.query, days_before=1)
        return (
            f"{begin}select count(*) over () as rows_failed, failed.*\n"
            f"from (\n{body}\n) as failed\n{self._asked_for(expectation)}"
            f"order by failed.batch, failed.assignment_id, failed.date\nlimit {MOST_ROWS}"
        )

    def rows_tried(self, expectation: Expectation) -> str | None:
        """Return the query for the number of rows that it looks at; None: not to be counted."""
        if expectation.rows_tried is None or (
            self._limit_of(expectation) and expectation.scope == BATCH
        ):
            return None
        begin, body = self._limited(expectation, expectation.rows_tried, days_before=0)
        return f"{begin}select * from (\n{body}\n) as counted" if begin else body  # noqa: S608

    def beyond(self, expectation: Expectation) -> str | None:
        """Say why the expectation cannot be limited as asked; None: it can, or need not."""
        if self._limit_of(expectation) is None or expectation.scope != FARM:
            return None
        if expectation.type == SHAPE_TYPE:
            return "a table's shape is not a batch's"
        return "its rows name no batch"

    def _limit_of(self, expectation: Expectation) -> Limit | None:
        is_raw = expectation.relation.layer == "raw"
        return None if self.limit and self.limit.is_of_marts and is_raw else self.limit

    def variable(self, name: str) -> str:
        """Return a var as text; empty where it is null."""
        value = self.variables.get(name, project_variable(name, ""))
        return "" if value is None else str(value)

    def _limited(
        self, expectation: Expectation, template: str, *, days_before: int
    ) -> tuple[str, str]:
        """Return the limited tables that a query reads, to stand before it, and the query."""
        limit = self._limit_of(expectation)
        if limit is None or expectation.scope == BATCH:
            return "", self.render(template)
        first_date = limit.first_date if expectation.scope == DAYS else None
        if first_date is not None:
            first_date -= timedelta(days=days_before)
        tables: dict[str, str] = {}

        def name(match: re.Match[str]) -> str:
            whole, layer, table = match.groups()
            relation = Relation(layer, table)
            columns = self.columns.get((self.schema(relation), table), ())
            condition = limit.condition(relation, columns, first_date)
            if whole or condition is None:
                return match[0]
            limited = sql.Identifier(str(relation)).as_string(None)
            rows = f"select * from {self.render(match[0])} where {condition}"  # noqa: S608
            tables[limited] = f"{limited} as not materialized (\n    {rows}\n)"
            return limited

        body = self.render(RELATION.sub(name, template))
        return f"with {', '.join(tables.values())}\n" if tables else "", body

    def _asked_for(self, expectation: Expectation) -> str:
        """Leave out the failing rows that a limited validation does not ask for."""
        limit = self._limit_of(expectation)
        if limit is not None and expectation.scope == BATCH:
            numbers = sql.Literal(list(limit.batch_numbers)).as_string(None)
            return f"where failed.batch = any({numbers}::text[])\n"
        if limit is not None and expectation.scope == DAYS and limit.first_date is not None:
            day = sql.Literal(limit.first_date).as_string(None)
            return f"where coalesce(failed.date >= {day}, true)\n"
        return ""

    def _value(self, match: re.Match[str]) -> str:
        name = match[1]
        if name.startswith("var:"):
            name = name.removeprefix("var:")
            value = self.variables.get(name, project_variable(name, ""))
            return sql.Literal(_plain(name, value)).as_string(None)
        if name == "as_of":
            return sql.Literal(self.as_of).as_string(None)
        return sql.Identifier(self.schemas[name]).as_string(None)


def for_target(
    target: str,
    connection: psycopg.Connection,
    *,
    as_of: date | None = None,
    variables: Mapping[str, Any] | None = None,
) -> Names:
    """Find out what the placeholders stand for on a target.

    The vars are those of dbt_project.yml where `variables` does not say otherwise. The last
    day of the data is `as_of`, else the var as_of_date, else today in the farm's time zone.
    """
    given = dict(variables or {})
    schemas = {layer: settings.layer_schema(layer, target) for layer in LAYERS}
    schemas["raw"] = str(given.get("raw_schema") or project_variable("raw_schema", "public"))
    day = as_of or _as_of_date(given)
    if day is None:
        timezone = str(given.get("timezone") or project_variable("timezone", "UTC"))
        row = connection.execute("select (now() at time zone %s)::date", (timezone,)).fetchone()
        day = row[0] if row else date.today()
    return Names(schemas, day, given)


def _spelt(name: str) -> str:
    """Quote an identifier with every unusual character spelt as its code point."""
    letters = (c if c.isascii() and (c.isalnum() or c == "_") else f"\\+{ord(c):06X}" for c in name)
    return 'U&"' + "".join(letters) + '"'


def _as_of_date(variables: Mapping[str, Any]) -> date | None:
    value = variables.get("as_of_date") or project_variable("as_of_date", "")
    if not value:
        return None
    try:
        return date.fromisoformat(str(value))
    except ValueError as error:
        raise AnchorlineError(
            f"The var as_of_date is {str(value)!r}, which is not a day. Write it as YYYY-MM-DD."
        ) from error


def _plain(name: str, value: Any) -> Any:
    """Return a var as a number or a truth value where its text is one."""
    text = str(value)
    if not text:
        raise AnchorlineError(
            f"The var {name} has no value, neither in dbt_project.yml nor in --vars. Give it one."
        )
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text


class Catalogue:
    """The tables and columns that a database has in the suites' schemas."""

    def __init__(self, connection: psycopg.Connection, names: Names) -> None:
        rows = connection.execute(
            """
            select schemas.nspname, tables.relname, columns.attname
            from pg_catalog.pg_class as tables
            inner join pg_catalog.pg_namespace as schemas on tables.relnamespace = schemas.oid
            inner join pg_catalog.pg_attribute as columns on tables.oid = columns.attrelid
            where
                schemas.nspname = any(%s)
                and tables.relkind in ('r', 'p', 'v', 'm', 'f')
                and columns.attnum > 0
                and not columns.attisdropped
            """,
            (list(names.schemas.values()),),
        ).fetchall()
        self._names = names
        self._columns: dict[tuple[str, str], set[str]] = {}
        for schema, table, column in rows:
            self._columns.setdefault((schema, table), set()).add(column)

    def limited(self, limit: Limit) -> Names:
        """Return the names by which a query reads some lineages alone."""
        return replace(self._names, limit=limit, columns=self._columns)

    def has(self, relation: Relation) -> bool:
        """Return whether the table is there."""
        return (self._names.schema(relation), relation.name) in self._columns

    def missing(self, expectation: Expectation) -> str | None:
        """Say what the expectation needs and the database does not have; None: nothing."""
        for relation in expectation.relations:
            if not self.has(relation):
                return f"there is no table {self._names.schema(relation)}.{relation.name}"
        for relation, column in expectation.needs:
            where = (self._names.schema(relation), relation.name)
            if column not in self._columns.get(where, set()):
                return f"{relation.name} has no column {column}"
        return None
