"""A dashboard as Metabase stores it: what is there, with ours in its place.

Pure functions. Cards, tabs, filters and settings that people have added stay; a card of theirs that
would lie under one of ours moves below all of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from anchorline.metabase.dashboards import Dashboard, Filter, Question, Tab

_KEPT: Final = (
    "id",
    "card_id",
    "action_id",
    "dashboard_tab_id",
    "row",
    "col",
    "size_x",
    "size_y",
    "visualization_settings",
    "inline_parameters",
)

Stored = Mapping[str, Any]


def parameter_id(dashboard: str, name: str) -> str:
    """Return the id of a filter of ours: eight characters, always the same ones."""
    return hashlib.sha256(f"{dashboard}/{name}".encode()).hexdigest()[:8]


def with_settings(stored: Stored, ours: Stored) -> dict[str, Any]:
    """Return stored settings with ours laid over them, level by level."""
    merged = dict(stored)
    for name, value in ours.items():
        below = merged.get(name)
        merged[name] = (
            with_settings(below, value)
            if isinstance(value, dict) and isinstance(below, dict)
            else value
        )
    return merged


def contents(stored: Stored) -> dict[str, Any]:
    """Return of a stored dashboard what a push may change, in the form in which it is sent."""
    return {
        "parameters": [dict(entry) for entry in stored.get("parameters") or []],
        "tabs": [{"id": tab["id"], "name": tab["name"]} for tab in stored.get("tabs") or []],
        "dashcards": sorted(
            (_card_as_sent(entry) for entry in stored.get("dashcards") or []),
            key=lambda entry: int(entry["id"]),
        ),
    }


def wanted_contents(
    stored: Stored, dashboard: Dashboard, card_ids: Mapping[str, int]
) -> dict[str, Any]:
    """Return what the contents of a stored dashboard should be.

    What is new has an id below 0. `card_ids` are the server's ids of the questions.
    """
    there = contents(stored)
    ours = _claimed(there["dashcards"], dashboard, card_ids)
    tabs, tab_ids = _tabs(there, dashboard, ours)
    own_ids = {parameter_id(dashboard.key, item.name) for item in dashboard.filters}
    dashcards = []
    new_id = 0
    for tab, tab_id in zip(dashboard.tabs, tab_ids, strict=True):
        for card in tab.cards:
            entry = dict(ours.get(card.question.key) or {})
            if not entry:
                new_id -= 1
                entry = {
                    "id": new_id,
                    "card_id": card_ids[card.question.key],
                    "visualization_settings": {},
                    "series": [],
                    "parameter_mappings": [],
                }
            # of a dashboard without tabs, people may have sorted the cards into theirs
            if tab.title is not None or entry.get("dashboard_tab_id") is None:
                entry["dashboard_tab_id"] = tab_id
            entry |= {"col": card.column, "row": card.row}
            entry |= {"size_x": card.width, "size_y": card.height}
            entry["parameter_mappings"] = [
                mapping
                for mapping in entry["parameter_mappings"]
                if mapping["parameter_id"] not in own_ids
            ] + [
                _mapping(dashboard.key, item, card.question, entry)
                for item in card.question.filters
            ]
            dashcards.append({name: part for name, part in entry.items() if part is not None})
    claimed = {entry["id"] for entry in ours.values()}
    theirs = [dict(entry) for entry in there["dashcards"] if entry["id"] not in claimed]
    for entry in theirs:
        if entry.get("dashboard_tab_id") is None and tabs:
            entry["dashboard_tab_id"] = tabs[0]["id"]
    _move_below(theirs, dashcards)
    return {
        "parameters": _parameters(there["parameters"], dashboard),
        "tabs": tabs,
        "dashcards": sorted(dashcards + theirs, key=lambda entry: int(entry["id"])),
    }


def _card_as_sent(stored: Stored) -> dict[str, Any]:
    entry = {name: stored[name] for name in _KEPT if stored.get(name) is not None}
    return entry | {
        "visualization_settings": stored.get("visualization_settings") or {},
        "parameter_mappings": list(stored.get("parameter_mappings") or []),
        "series": [{"id": other["id"]} for other in stored.get("series") or []],
    }


def _claimed(
    dashcards: Sequence[Stored], dashboard: Dashboard, card_ids: Mapping[str, int]
) -> dict[str, Stored]:
    """Find the cards of ours that are there, by question: of several the first."""
    found: dict[str, Stored] = {}
    for card in dashboard.cards:
        for entry in dashcards:
            if entry.get("card_id") == card_ids.get(card.question.key, 0):
                found[card.question.key] = entry
                break
    return found


def _tabs(
    there: Stored, dashboard: Dashboard, ours: Mapping[str, Stored]
) -> tuple[list[dict[str, Any]], list[int | None]]:
    """Return all tabs, ours first, and the id of each of ours.

    A tab of ours is the one of its name, else the one that holds most of its cards: it was renamed.
    """
    stored = {int(tab["id"]): str(tab["name"]) for tab in there["tabs"]}
    if all(tab.title is None for tab in dashboard.tabs):
        first = next(iter(stored), None)
        return list(there["tabs"]), [first for _ in dashboard.tabs]
    free = dict(stored)
    ids: list[int | None] = [None] * len(dashboard.tabs)
    for place, tab in enumerate(dashboard.tabs):
        ids[place] = next((number for number, name in free.items() if name == tab.title), None)
        free.pop(ids[place] or 0, None)
    for place, tab in enumerate(dashboard.tabs):
        if ids[place] is None:
            ids[place] = _tab_of(tab, ours, free) or -1 - place
            free.pop(ids[place] or 0, None)
    tabs = [{"id": ids[place], "name": tab.title} for place, tab in enumerate(dashboard.tabs)]
    return tabs + [{"id": number, "name": name} for number, name in free.items()], ids


def _tab_of(tab: Tab, ours: Mapping[str, Stored], free: Mapping[int, str]) -> int | None:
    held = [ours.get(card.question.key, {}).get("dashboard_tab_id") for card in tab.cards]
    counts = {number: held.count(number) for number in free}
    best = max(counts, key=lambda number: counts[number], default=None)
    return best if best is not None and counts[best] else None


def _parameters(stored: Sequence[Stored], dashboard: Dashboard) -> list[dict[str, Any]]:
    """Return the filters: those that are there in their order, ours brought up to date."""
    wanted = {
        parameter_id(dashboard.key, item.name): _parameter(dashboard.key, item)
        for item in dashboard.filters
    }
    merged = [dict(entry) | wanted.pop(str(entry["id"]), {}) for entry in stored]
    return merged + list(wanted.values())


def _parameter(dashboard: str, item: Filter) -> dict[str, Any]:
    parameter: dict[str, Any] = {
        "id": parameter_id(dashboard, item.name),
        "name": item.title,
        "slug": item.name,
    }
    if item.type == "dates":
        return parameter | {"type": "date/all-options", "sectionId": "date"}
    parameter |= {"type": "string/=", "sectionId": "string"}
    if item.type == "choice":
        return parameter | {
            "isMultiSelect": False,
            "required": True,
            "default": [item.default],
            "values_query_type": "list",
            "values_source_type": "static-list",
            "values_source_config": {"values": list(item.values)},
        }
    return parameter | {"isMultiSelect": item.type == "any_of"}


def _mapping(dashboard: str, item: Filter, question: Question, entry: Stored) -> dict[str, Any]:
    kind = "dimension" if item.name in question.fields else "variable"
    mapping = {
        "parameter_id": parameter_id(dashboard, item.name),
        "card_id": entry["card_id"],
        "target": [kind, ["template-tag", item.name]],
    }
    for stored in entry["parameter_mappings"]:
        # a target may have got options since
        if {**stored, "target": list(stored["target"][:2])} == mapping:
            return dict(stored)
    return mapping


def _move_below(theirs: Sequence[dict[str, Any]], ours: Sequence[Stored]) -> None:
    for entry in theirs:
        beside = [
            card
            for card in (*ours, *theirs)
            if card is not entry and card.get("dashboard_tab_id") == entry.get("dashboard_tab_id")
        ]
        if any(_overlap(entry, card) for card in beside if card in ours):
            entry["row"] = max(card["row"] + card["size_y"] for card in beside)


def _overlap(one: Stored, other: Stored) -> bool:
    return bool(
        one["row"] < other["row"] + other["size_y"]
        and other["row"] < one["row"] + one["size_y"]
        and one["col"] < other["col"] + other["size_x"]
        and other["col"] < one["col"] + one["size_x"]
    )
