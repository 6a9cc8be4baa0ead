"""A question's query as Metabase stores it, in both of its shapes.

Up to release 56 that is `{"type": "native", "native": {...}}` (MBQL 4); since then a list of stages
(MBQL 5), in which each clause has a uuid. What is compared is what both say: the SQL and the tags.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from anchorline.metabase.dashboards import Filter, Question

# never changed: the same question has the same ids on each push
_NAMESPACE: Final = uuid.UUID("4a4b6fd2-0d0c-5b52-9f1f-6f1c3d1f4f0e")

WIDGETS: Final[Mapping[str, str]] = {
    "one_of": "string/=",
    "any_of": "string/=",
    "dates": "date/all-options",
}
"""What a reader chooses with, by the type of a filter on a column."""


@dataclass(frozen=True)
class NativeQuery:
    """What a stored query says, whichever its shape; `tags` without their ids."""

    database_id: int | None
    sql: str
    tags: Mapping[str, Mapping[str, Any]]


FieldId = Callable[[str, str], int | None]
"""The id of a field by table and column; None where the server does not know it (yet)."""


def stable_id(*parts: str) -> str:
    """Return the uuid of something that the project names."""
    return str(uuid.uuid5(_NAMESPACE, "/".join(parts)))


def wanted_query(question: Question, database_id: int, field_id: FieldId) -> NativeQuery:
    """Return what a question's query should say on a server."""
    tags = {item.name: _tag(item, question, field_id) for item in question.filters}
    return NativeQuery(database_id, question.query, tags)


def to_dataset_query(query: NativeQuery, key: str, *, mbql5: bool) -> dict[str, Any]:
    """Return a query in the shape that a server stores."""
    tags = {}
    for name, tag in query.tags.items():
        tags[name] = {"id": stable_id(key, name), **tag}
        if "dimension" in tag:
            options = {"lib/uuid": stable_id(key, name, "dimension")} if mbql5 else None
            number = tag["dimension"]
            tags[name]["dimension"] = (
                ["field", options, number] if mbql5 else ["field", number, options]
            )
    if mbql5:
        stage = {"lib/type": "mbql.stage/native", "native": query.sql, "template-tags": tags}
        return {"lib/type": "mbql/query", "database": query.database_id, "stages": [stage]}
    return {
        "type": "native",
        "database": query.database_id,
        "native": {"query": query.sql, "template-tags": tags},
    }


def from_dataset_query(stored: Mapping[str, Any] | None) -> NativeQuery | None:
    """Read a stored query of either shape; None where it is no SQL."""
    stored = stored or {}
    if stored.get("type") == "native":
        sql, tags = stored["native"].get("query"), stored["native"].get("template-tags")
    else:
        stages = stored.get("stages") or [{}]
        if len(stages) != 1 or stages[0].get("lib/type") != "mbql.stage/native":
            return None
        sql, tags = stages[0].get("native"), stages[0].get("template-tags")
    # some releases list the tags
    listed = tags.values() if isinstance(tags, dict) else tags or ()
    return NativeQuery(
        stored.get("database"), str(sql), {tag["name"]: _known(tag) for tag in listed}
    )


def _tag(item: Filter, question: Question, field_id: FieldId) -> dict[str, Any]:
    tag: dict[str, Any] = {"name": item.name, "display-name": item.title}
    if item.name not in question.fields:
        return tag | {"type": "text", "required": True, "default": item.default}
    return tag | {
        "type": "dimension",
        "dimension": field_id(*question.fields[item.name]),
        "widget-type": WIDGETS[item.type],
    }


def _known(tag: Mapping[str, Any]) -> dict[str, Any]:
    """Return what we say of a tag, without ids and without what the server adds to it."""
    said = {
        name: tag.get(name)
        for name in ("name", "display-name", "type", "required", "default", "widget-type")
        if tag.get(name) not in (None, False)
    }
    if "dimension" in tag:
        said["dimension"] = next(
            (part for part in tag["dimension"][1:] if isinstance(part, int)), None
        )
    return said
