"""What analyses/metabase says: dashboards, filters, cards, and the compiled query of each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from anchorline.errors import AnchorlineError

FOLDER: Final = Path("analyses") / "metabase"
FILTER_TYPES: Final = ("one_of", "any_of", "dates", "choice")
GRID_WIDTH: Final = 24
"""Columns of a dashboard."""

_TAG: Final = re.compile(r"\{\{\s*([a-z_]+)\s*\}\}")


@dataclass(frozen=True)
class Filter:
    """A filter of a dashboard.

    `one_of` and `any_of` choose values of a column, `dates` a range of days, `choice` one of a few
    words. `table` and `column` are what it filters by in a question that does not say otherwise.
    """

    name: str
    title: str
    type: str
    table: str | None = None
    column: str | None = None
    values: tuple[str, ...] = ()
    default: str | None = None


@dataclass(frozen=True)
class Question:
    """A question: its key (`dashboard/query`), what people see of it, and its query.

    `fields` are the (table, column) of its filters on columns. `may_be_empty` says why it may well
    have no rows.
    """

    key: str
    title: str
    description: str
    display: str
    query: str
    settings: Mapping[str, Any]
    filters: tuple[Filter, ...]
    fields: Mapping[str, tuple[str, str]]
    may_be_empty: str | None = None


@dataclass(frozen=True)
class Card:
    """Where a question stands on its dashboard, in columns and rows."""

    question: Question
    column: int
    row: int
    width: int
    height: int


@dataclass(frozen=True)
class Tab:
    """A tab of a dashboard; the one tab of a dashboard without tabs has no title."""

    title: str | None
    cards: tuple[Card, ...]


@dataclass(frozen=True)
class Dashboard:
    """A dashboard: its key (the folder's name), what people see, its filters and tabs."""

    key: str
    title: str
    description: str
    filters: tuple[Filter, ...]
    tabs: tuple[Tab, ...] = field(default=())

    @property
    def cards(self) -> Iterator[Card]:
        """All its cards, tab by tab."""
        for tab in self.tabs:
            yield from tab.cards


def read_dashboards(project: Path, queries: Mapping[str, str]) -> list[Dashboard]:
    """Read all dashboards of the project.

    `queries` are the compiled queries by key. Raises AnchorlineError, with the file, where a
    dashboard names a question, a filter or a setting that is not there.
    """
    files = sorted((project / FOLDER).glob("*/dashboard.yml"))
    if not files:
        raise AnchorlineError(f"There are no dashboards in {project / FOLDER}.")
    return [_read(file, queries) for file in files]


def tags(query: str) -> list[str]:
    """Name the filters that a query has places for, each once."""
    return list(dict.fromkeys(_TAG.findall(query)))


def _read(file: Path, queries: Mapping[str, str]) -> Dashboard:
    content: Any = yaml.safe_load(file.read_text("utf-8"))
    try:
        filters = tuple(_filter(entry) for entry in content.get("filters", ()))
        entries = content.get("tabs") or [{"title": None, "cards": content["cards"]}]
        dashboard = Dashboard(
            key=file.parent.name,
            title=content["title"],
            description=content["description"],
            filters=filters,
            tabs=tuple(
                Tab(
                    entry["title"],
                    tuple(
                        _card(file.parent.name, card, filters, queries) for card in entry["cards"]
                    ),
                )
                for entry in entries
            ),
        )
    except KeyError as error:
        raise AnchorlineError(f"{file}: {error.args[0]!r} is missing.") from error
    except ValueError as error:
        raise AnchorlineError(f"{file}: {error}") from error
    unused = {key for key in queries if key.startswith(f"{dashboard.key}/")} - {
        card.question.key for card in dashboard.cards
    }
    if unused:
        raise AnchorlineError(f"{file} has no card for {', '.join(sorted(unused))}.")
    return dashboard


def _filter(entry: Mapping[str, Any]) -> Filter:
    if entry["type"] not in FILTER_TYPES:
        raise ValueError(
            f"filter {entry['name']!r} is of type {entry['type']!r}; expected one of "
            f"{', '.join(FILTER_TYPES)}."
        )
    if entry["type"] == "choice":
        return Filter(
            entry["name"],
            entry["title"],
            entry["type"],
            values=tuple(entry["values"]),
            default=entry["default"],
        )
    table, column = _field(entry["field"])
    return Filter(entry["name"], entry["title"], entry["type"], table, column)


def _card(
    dashboard: str,
    entry: Mapping[str, Any],
    filters: tuple[Filter, ...],
    queries: Mapping[str, str],
) -> Card:
    key = f"{dashboard}/{entry['question']}"
    if key not in queries:
        raise ValueError(f"there is no query {entry['question']}.sql beside it.")
    names = tags(queries[key])
    used = tuple(item for item in filters if item.name in names)
    unknown = {*names, *entry.get("fields", ())} - {item.name for item in used}
    if unknown:
        raise ValueError(f"{entry['question']} has no filter {', '.join(sorted(unknown))}.")
    fields = {item.name: (item.table, item.column) for item in used if item.table and item.column}
    fields |= {name: _field(text) for name, text in entry.get("fields", {}).items()}
    column, row, width, height = entry["at"]
    if min(column, row) < 0 or min(width, height) < 1 or column + width > GRID_WIDTH:
        raise ValueError(f"{entry['question']} stands at {entry['at']}, outside the dashboard.")
    question = Question(
        key=key,
        title=entry["title"],
        description=entry["description"],
        display=entry["display"],
        query=queries[key].strip(),
        settings=entry.get("settings", {}),
        filters=used,
        fields=fields,
        may_be_empty=entry.get("may_be_empty"),
    )
    return Card(question, column, row, width, height)


def _field(text: str) -> tuple[str, str]:
    table, dot, column = text.partition(".")
    if not (table and dot and column):
        raise ValueError(f"{text!r} is no table.column.")
    return table, column
