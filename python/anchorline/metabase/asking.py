"""Questions as Metabase asks them: its places for filters, filled in or left out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from psycopg import sql

from anchorline.errors import AnchorlineError
from anchorline.metabase.dashboards import Question

Chosen = Mapping[str, Any]
"""Values by filter: a list of words, a pair of days, or one word."""

_OPTIONAL = re.compile(r"\[\[(.*?)\]\]", re.DOTALL)
_PLACE = re.compile(r"\{\{\s*(\w+)\s*\}\}")


def as_asked(question: Question, schema: str, chosen: Chosen) -> str:
    """Return a question's query with filters chosen, in Metabase's way.

    What stands in brackets goes where a filter in it has no value. A filter on a column becomes a
    condition on that column, by schema and table; without a value, outside brackets, `1 = 1`. Any
    other filter becomes its value, its default where none is chosen.
    """
    defaults = {item.name: item.default for item in question.filters if item.default}
    values = {**defaults, **chosen}

    def optional(found: re.Match[str]) -> str:
        names = _PLACE.findall(found[1])
        if not names:
            raise AnchorlineError(
                f"{question.key}: Metabase wants a filter between brackets: {found[0]}"
            )
        return found[1] if all(name in values for name in names) else ""

    def place(found: re.Match[str]) -> str:
        name = found[1]
        if name not in question.fields:
            if name not in values:
                raise AnchorlineError(f"{question.key}: {name} has no value")
            return sql.Literal(values[name]).as_string(None)
        if name not in values:
            return "1 = 1"
        column = sql.Identifier(schema, *question.fields[name]).as_string(None)
        if isinstance(values[name], tuple):
            first, last = (sql.Literal(day).as_string(None) for day in values[name])
            return f"({column} BETWEEN {first} AND {last})"
        words = ", ".join(sql.Literal(word).as_string(None) for word in values[name])
        return f"({column} IN ({words}))"

    query = _OPTIONAL.sub(optional, question.query)
    if "[[" in query or "]]" in query:
        raise AnchorlineError(f"{question.key}: brackets within brackets")
    return _PLACE.sub(place, query)
