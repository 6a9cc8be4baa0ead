"""Where the suites' tables are in a database, and how their SQL is written for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import psycopg
from psycopg import sql

from anchorline import settings
from anchorline.errors import AnchorlineError
from anchorline.expectations.suites import LAYERS, Expectation, Relation
from anchorline.raw.sources import project_variable

MOST_ROWS = 200
"""Failing rows that are fetched and shown in the Data Docs, at most; all are counted."""

_PLACEHOLDER = re.compile(r"\{(var:\w+|as_of|" + "|".join(LAYERS) + r")\}")


@dataclass(frozen=True)
class Names:
    """What the placeholders of the suites stand for on one target."""

    schemas: Mapping[str, str]
    as_of: date
    variables: Mapping[str, Any] = field(default_factory=dict)

    def schema(self, relation: Relation) -> str:
        """Return the schema that holds the relation."""
        return self.schemas[relation.layer]

    def batch_query(self, relation: Relation) -> str:
        """Return a query for all rows of the relation, in letters, digits and quotes alone.

        The library compiles it to text and back: a percent sign or a colon would not survive.
        """
        return f"select * from {_spelt(self.schema(relation))}.{_spelt(relation.name)}"  # noqa: S608

    def render(self, template: str) -> str:
        """Fill in the placeholders: schemas as quoted identifiers, all else as literals."""
        return _PLACEHOLDER.sub(self._value, template)

    def query(self, expectation: Expectation) -> str | None:
        """Return the query for the rows that fail, with their number beside each of them."""
        if expectation.query is None:
            return None
        return (
            "select count(*) over () as rows_failed, failed.*\n"
            f"from (\n{self.render(expectation.query)}\n) as failed\n"
            f"order by failed.batch, failed.assignment_id, failed.date\nlimit {MOST_ROWS}"
        )

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
