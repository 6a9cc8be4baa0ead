"""A server that answers as Metabase does, as far as the client asks.

The requests' schemas are transcribed, field by field, from Metabase's published description of its
API (names, types, what is required), for the releases that store queries as MBQL 5 and for the last
one that stored them as MBQL 4. A request that Metabase would refuse is refused here, with
its status and the shape of its answer. What it stores it gives back in the shapes that clients have
recorded: with ids, entity ids, fields of its own, and lists in `data` where Metabase does so.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jsonschema

API_KEY = "mb_test_0123456789"
SESSION = "3f6e2a52-5a1e-4a41-9a5c-000000000001"
SETUP_TOKEN = "0d1c9c0e-setup"  # noqa: S105
PASSWORD = "correct horse 9"  # noqa: S105
EMAIL = "admin@example.com"

Json = dict[str, Any]

# -- schemas of requests ---------------------------------------------------------------------------


def maybe(schema: Json) -> Json:
    return {"anyOf": [schema, {"type": "null"}]}


TEXT: Json = {"type": "string"}
NON_BLANK: Json = {"type": "string", "minLength": 1}
ID: Json = {"type": "integer", "minimum": 1}
MAP: Json = {"type": "object"}
FLAG: Json = {"type": "boolean"}
UUID: Json = {"type": "string", "minLength": 36, "maxLength": 36}

PARAMETER_TYPES = [
    *("number", "text", "date", "boolean", "date/single", "id", "category", "location/city"),
    *("location/state", "location/zip_code", "location/country", "date/range"),
    *("date/month-year", "date/quarter-year", "date/relative", "date/all-options"),
    *("temporal-unit", "number/!=", "number/<=", "number/=", "number/>=", "number/between"),
    *("string/!=", "string/=", "string/contains", "string/does-not-contain"),
    *("string/ends-with", "string/starts-with", "boolean/="),
]

PARAMETER: Json = {
    "type": "object",
    "properties": {
        "id": NON_BLANK,
        "type": {"enum": PARAMETER_TYPES},
        "name": TEXT,
        "slug": TEXT,
        "sectionId": NON_BLANK,
        "filteringParameters": maybe({"type": "array", "items": NON_BLANK}),
        "values_query_type": maybe({"enum": ["none", "list", "search"]}),
        "values_source_type": maybe({"enum": ["static-list", "card"]}),
        "values_source_config": maybe(MAP),
        "temporal_units": maybe({"type": "array"}),
        "default": {},
    },
    "required": ["id", "type"],
}

TARGET: Json = {
    "type": "array",
    "prefixItems": [
        {"enum": ["dimension", "variable"]},
        {
            "type": "array",
            "prefixItems": [{"const": "template-tag"}, NON_BLANK],
            "minItems": 2,
        },
    ],
    "minItems": 2,
}

MAPPING: Json = {
    "type": "object",
    "properties": {"parameter_id": NON_BLANK, "target": TARGET, "card_id": maybe(ID)},
    "required": ["parameter_id", "target"],
}

CARD: Json = {
    "type": "object",
    "properties": {
        "name": NON_BLANK,
        "description": maybe(NON_BLANK),
        "display": NON_BLANK,
        "dataset_query": MAP,
        "visualization_settings": MAP,
        "collection_id": maybe(ID),
        "collection_position": maybe(ID),
        "entity_id": maybe(NON_BLANK),
        "dashboard_id": maybe(ID),
        "dashboard_tab_id": maybe(ID),
        "parameters": maybe({"type": "array", "items": PARAMETER}),
        "parameter_mappings": maybe({"type": "array", "items": MAPPING}),
        "cache_ttl": maybe(ID),
        "type": maybe({"enum": ["question", "metric", "model"]}),
        "result_metadata": {},
    },
    "required": ["name", "dataset_query", "display", "visualization_settings"],
}

CARD_UPDATE: Json = {
    "type": "object",
    "properties": {
        **{name: maybe(schema) for name, schema in CARD["properties"].items()},
        "description": maybe(TEXT),
        "archived": maybe(FLAG),
    },
}

DASHBOARD: Json = {
    "type": "object",
    "properties": {
        "name": NON_BLANK,
        "description": maybe(TEXT),
        "parameters": maybe({"type": "array", "items": PARAMETER}),
        "collection_id": maybe(ID),
        "collection_position": maybe(ID),
        "cache_ttl": maybe(ID),
    },
    "required": ["name"],
}

DASHCARD: Json = {
    "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "row": {"type": "integer", "minimum": 0},
        "col": {"type": "integer", "minimum": 0},
        "size_x": ID,
        "size_y": ID,
        "parameter_mappings": maybe({"type": "array", "items": MAPPING}),
        "inline_parameters": maybe({"type": "array", "items": NON_BLANK}),
        "series": maybe({"type": "array", "items": MAP}),
    },
    "required": ["id", "size_x", "size_y", "row", "col"],
}

DASHBOARD_UPDATE: Json = {
    "type": "object",
    "properties": {
        "name": maybe(NON_BLANK),
        "description": maybe(TEXT),
        "parameters": maybe({"type": "array", "items": PARAMETER}),
        "dashcards": maybe({"type": "array", "items": DASHCARD}),
        "tabs": maybe(
            {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"id": {"type": "integer"}, "name": NON_BLANK},
                    "required": ["id", "name"],
                },
            }
        ),
        "archived": maybe(FLAG),
        "width": {"enum": ["fixed", "full"]},
        "collection_id": maybe(ID),
        "cache_ttl": maybe(ID),
    },
}

DATABASE: Json = {
    "type": "object",
    "properties": {
        "name": NON_BLANK,
        "engine": NON_BLANK,
        "details": MAP,
        "is_full_sync": maybe(FLAG),
        "is_on_demand": maybe(FLAG),
        "connection_source": maybe({"enum": ["admin", "setup"]}),
        "auto_run_queries": maybe(FLAG),
        "cache_ttl": maybe(ID),
        "schedules": maybe(MAP),
        "provider_name": maybe(TEXT),
    },
    "required": [
        *("name", "engine", "details", "is_full_sync", "is_on_demand", "connection_source"),
    ],
}

DATABASE_UPDATE: Json = {
    "type": "object",
    "properties": {
        "name": maybe(NON_BLANK),
        "engine": maybe(NON_BLANK),
        "details": maybe(MAP),
        "description": maybe(TEXT),
        "refingerprint": maybe(FLAG),
        "settings": maybe(MAP),
    },
}

COLLECTION: Json = {
    "type": "object",
    "properties": {
        "name": NON_BLANK,
        "description": maybe(NON_BLANK),
        "parent_id": maybe(ID),
        "namespace": maybe(NON_BLANK),
        "authority_level": maybe({"enum": ["official"]}),
    },
    "required": ["name"],
}

SETUP: Json = {
    "type": "object",
    "properties": {
        "token": NON_BLANK,
        "user": {
            "type": "object",
            "properties": {
                "email": {"type": "string", "pattern": "^[^@]+@[^@]+$"},
                "password": {"type": "string", "minLength": 6},
                "first_name": maybe(NON_BLANK),
                "last_name": maybe(NON_BLANK),
            },
            "required": ["email", "password"],
        },
        "prefs": {
            "type": "object",
            "properties": {"site_name": NON_BLANK, "site_locale": maybe(NON_BLANK)},
            "required": ["site_name"],
        },
    },
    "required": ["token", "user", "prefs"],
}

SESSION_START: Json = {
    "type": "object",
    "properties": {"username": NON_BLANK, "password": NON_BLANK},
    "required": ["username", "password"],
}

SETTING: Json = {"type": "object", "properties": {"value": {}}, "required": ["value"]}

TABLE_UPDATE: Json = {
    "type": "object",
    "properties": {
        "display_name": maybe(NON_BLANK),
        "description": maybe(TEXT),
        "visibility_type": maybe({"enum": ["hidden", "technical", "cruft"]}),
        "points_of_interest": maybe(TEXT),
        "caveats": maybe(TEXT),
    },
}

FIELD_UPDATE: Json = {
    "type": "object",
    "properties": {
        "display_name": maybe(NON_BLANK),
        "description": maybe(NON_BLANK),
        "semantic_type": maybe({"type": "string", "pattern": "^type/"}),
        "fk_target_field_id": maybe(ID),
        "visibility_type": maybe(
            {"enum": ["details-only", "hidden", "normal", "retired", "sensitive"]}
        ),
        "has_field_values": maybe({"enum": ["search", "list", "none", "auto-list"]}),
        "coercion_strategy": maybe(NON_BLANK),
        "settings": maybe(MAP),
    },
}

# -- queries ---------------------------------------------------------------------------------------

_TAG_COMMON: Json = {"id": NON_BLANK, "name": NON_BLANK, "display-name": NON_BLANK}


def template_tag(dimension: Json) -> Json:
    return {
        "oneOf": [
            {
                "type": "object",
                "properties": {
                    **_TAG_COMMON,
                    "type": {"const": "dimension"},
                    "dimension": dimension,
                    "widget-type": {"enum": [*PARAMETER_TYPES, "none"]},
                    "required": FLAG,
                    "default": {},
                    "alias": TEXT,
                },
                "required": ["name", "display-name", "type", "widget-type", "dimension"],
            },
            {
                "type": "object",
                "properties": {
                    **_TAG_COMMON,
                    "type": {"enum": ["date", "number", "boolean", "text"]},
                    "required": FLAG,
                    "default": {},
                    # a tag of a value has no column
                    "dimension": False,
                },
                "required": ["name", "display-name", "type"],
            },
        ]
    }


MBQL4_QUERY: Json = {
    "type": "object",
    "properties": {
        "type": {"const": "native"},
        "database": ID,
        "native": {
            "type": "object",
            "properties": {
                "query": NON_BLANK,
                "template-tags": {
                    "type": "object",
                    "additionalProperties": template_tag(
                        {
                            "type": "array",
                            "prefixItems": [{"const": "field"}, ID, maybe(MAP)],
                            "minItems": 3,
                            "maxItems": 3,
                        }
                    ),
                },
            },
            "required": ["query"],
        },
    },
    "required": ["type", "database", "native"],
}

MBQL5_QUERY: Json = {
    "type": "object",
    "properties": {
        "lib/type": {"const": "mbql/query"},
        "database": ID,
        "stages": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {
                    "lib/type": {"const": "mbql.stage/native"},
                    "native": NON_BLANK,
                    "template-tags": {
                        "type": "object",
                        "additionalProperties": template_tag(
                            {
                                "type": "array",
                                "prefixItems": [
                                    {"const": "field"},
                                    {
                                        "type": "object",
                                        "properties": {"lib/uuid": UUID},
                                        "required": ["lib/uuid"],
                                    },
                                    ID,
                                ],
                                "minItems": 3,
                                "maxItems": 3,
                            }
                        ),
                    },
                },
                "required": ["lib/type"],
            },
        },
    },
    "required": ["lib/type", "stages"],
}


class Refused(Exception):  # noqa: N818
    """An answer that is no success: a status, and what Metabase says."""

    def __init__(self, status: int, said: Any) -> None:
        super().__init__(status)
        self.status = status
        self.said = said


# -- the server ------------------------------------------------------------------------------------


@dataclass
class FakeMetabase:
    """What a server knows and does.

    `tables` are the columns by table that it finds in the database, `sync_polls` how often its
    metadata are asked for before it has found them; with `loses_queries` it says yes and keeps an
    empty query, as releases have done with one that they could not read; `refuse` are patterns of
    (method, path) that it answers with a status.
    """

    tables: Mapping[str, list[str]]
    mbql5: bool = True
    is_set_up: bool = True
    sync_polls: int = 2
    loses_queries: bool = False
    schema: str = "anchorline_marts"
    refuse: dict[tuple[str, str], tuple[int, Any]] = field(default_factory=dict)
    databases: dict[int, Json] = field(default_factory=dict)
    collections: dict[int, Json] = field(default_factory=dict)
    cards: dict[int, Json] = field(default_factory=dict)
    dashboards: dict[int, Json] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    url: str = ""

    def __post_init__(self) -> None:
        self._ids = 100
        self._polls = self.sync_polls
        self._fields: dict[str, dict[str, Json]] = {}
        self._table_rows: dict[int, Json] = {}

    @property
    def writes(self) -> list[tuple[str, str]]:
        """What has been asked that changes something; starting a session does not."""
        return [
            (method, path)
            for method, path, _ in self.requests
            if method != "GET" and path != "/api/session"
        ]

    def new_id(self) -> int:
        self._ids += 1
        return self._ids

    def field_id(self, table: str, column: str) -> int:
        """Return the id of a field that has been found."""
        number: int = self.entry(table, column)["id"]
        return number

    def entry(self, table: str, column: str) -> Json:
        """Return a field that has been found."""
        return self._fields[table][column]

    def table(self, name: str) -> Json:
        """Return a table that has been found."""
        return next(row for row in self._table_rows.values() if row["name"] == name)

    def add_card(self, **given: Any) -> Json:
        """Add a card as a person makes one."""
        card = {
            "id": self.new_id(),
            "name": "Mine",
            "description": None,
            "display": "table",
            "archived": False,
            "visualization_settings": {},
            "entity_id": f"person{self._ids:015d}",
            **given,
        }
        self.cards[card["id"]] = card
        return card

    # -- answering -----------------------------------------------------------------------------

    def answer(self, method: str, path: str, query: Mapping[str, str], body: Any) -> Any:
        """Answer a request, or raise Refused."""
        self.requests.append((method, path, body))
        for (refused_method, pattern), (status, said) in self.refuse.items():
            if method == refused_method and re.fullmatch(pattern, path):
                raise Refused(status, said)
        for route_method, pattern, handler in self._routes():
            found = re.fullmatch(pattern, path)
            if found and route_method == method:
                return handler(*map(int, found.groups()), query=query, body=body)
        raise Refused(404, "API endpoint does not exist.")

    def _routes(self) -> list[tuple[str, str, Callable[..., Any]]]:
        return [
            ("GET", "/api/session/properties", self._properties),
            ("POST", "/api/session", self._log_in),
            ("POST", "/api/setup", self._set_up),
            ("PUT", "/api/setting/anon-tracking-enabled", self._set),
            ("GET", "/api/database", self._list_databases),
            ("POST", "/api/database", self._add_database),
            ("GET", r"/api/database/(\d+)", self._get_database),
            ("PUT", r"/api/database/(\d+)", self._put_database),
            ("POST", r"/api/database/(\d+)/sync_schema", self._sync),
            ("GET", r"/api/database/(\d+)/metadata", self._metadata),
            ("PUT", r"/api/table/(\d+)", self._put_table),
            ("PUT", r"/api/field/(\d+)", self._put_field),
            ("GET", "/api/collection", self._list_collections),
            ("POST", "/api/collection", self._add_collection),
            ("GET", r"/api/collection/(\d+)/items", self._items),
            ("GET", "/api/card", self._list_cards),
            ("POST", "/api/card", self._add_card),
            ("GET", r"/api/card/(\d+)", self._get_card),
            ("PUT", r"/api/card/(\d+)", self._put_card),
            ("POST", "/api/dashboard", self._add_dashboard),
            ("GET", r"/api/dashboard/(\d+)", self._get_dashboard),
            ("PUT", r"/api/dashboard/(\d+)", self._put_dashboard),
        ]

    def _properties(self, **_: Any) -> Json:
        tag = "v0.58.3" if self.mbql5 else "v0.56.9.1"
        return {
            "version": {"tag": tag, "date": "2026-01-20"},
            "has-user-setup": self.is_set_up,
            "setup-token": None if self.is_set_up else SETUP_TOKEN,
            "site-name": "Metabase",
        }

    def _log_in(self, *, body: Any, **_: Any) -> Json:
        check(SESSION_START, body)
        if (body["username"], body["password"]) != (EMAIL, PASSWORD):
            raise Refused(401, {"errors": {"password": "did not match stored password"}})
        return {"id": SESSION}

    def _set_up(self, *, body: Any, **_: Any) -> Json:
        check(SETUP, body)
        if self.is_set_up or body["token"] != SETUP_TOKEN:
            raise Refused(403, "The /api/setup route can only be used to create the first user.")
        self.is_set_up = True
        return {"id": SESSION}

    def _set(self, *, body: Any, **_: Any) -> None:
        check(SETTING, body)
        self.settings["anon-tracking-enabled"] = body["value"]

    # -- databases

    def _list_databases(self, **_: Any) -> Json:
        rows = [self._shown(entry) for entry in self.databases.values()]
        return {"data": rows, "total": len(rows)}

    @staticmethod
    def _shown(database: Json) -> Json:
        details = {**database["details"]}
        if "password" in details:
            details["password"] = "**MetabasePass**"  # noqa: S105
        return {**database, "details": details}

    def _add_database(self, *, body: Any, **_: Any) -> Json:
        check(DATABASE, body)
        if body["details"].get("password") == "wrong":
            raise Refused(
                400,
                {
                    "message": f"password {body['details']['password']} is wrong",
                    "errors": {"password": "check your password", "user": "check your username"},
                },
            )
        number = self.new_id()
        self.databases[number] = {"id": number, "initial_sync_status": "incomplete", **body}
        self._polls = self.sync_polls
        return self._shown(self.databases[number])

    def _get_database(self, number: int, **_: Any) -> Json:
        return self._shown(found(self.databases, number))

    def _put_database(self, number: int, *, body: Any, **_: Any) -> Json:
        check(DATABASE_UPDATE, body)
        database = found(self.databases, number)
        details = dict(body["details"])
        if details.get("password") == "**MetabasePass**":
            details["password"] = database["details"].get("password")
        database["details"] = details
        return self._shown(database)

    def _sync(self, number: int, **_: Any) -> Json:
        found(self.databases, number)
        return {"status": "ok"}

    def _metadata(self, number: int, **_: Any) -> Json:
        database = found(self.databases, number)
        if self._polls > 0:
            self._polls -= 1
        elif not self._fields:
            for table, columns in self.tables.items():
                self._fields[table] = {
                    column: {
                        "id": self.new_id(),
                        "name": column,
                        "display_name": column,
                        "description": None,
                        "semantic_type": None,
                        "fk_target_field_id": None,
                        "visibility_type": "normal",
                        "has_field_values": "search",
                        "coercion_strategy": None,
                        "settings": None,
                    }
                    for column in columns
                }
                number = self.new_id()
                self._table_rows[number] = {
                    "id": number,
                    "name": table,
                    "schema": self.schema,
                    "display_name": table,
                    "description": None,
                    "visibility_type": None,
                    "points_of_interest": None,
                    "caveats": None,
                }
        tables = [
            {**row, "fields": list(self._fields[row["name"]].values())}
            for row in self._table_rows.values()
        ]
        # another schema has a table of the same name
        other = {"id": 1, "name": "batches", "schema": "elsewhere"}
        tables.append({**other, "fields": [{"id": 1, "name": "batch_number"}]})
        return {**self._shown(database), "tables": tables}

    def _put_table(self, number: int, *, body: Any, **_: Any) -> Json:
        check(TABLE_UPDATE, body)
        row = found(self._table_rows, number)
        row.update(body)
        return row

    def _put_field(self, number: int, *, body: Any, **_: Any) -> Json:
        check(FIELD_UPDATE, body)
        for columns in self._fields.values():
            for entry in columns.values():
                if entry["id"] == number:
                    entry.update(body)
                    return entry
        raise Refused(404, "Not found.")

    # -- collections

    def _list_collections(self, **_: Any) -> list[Json]:
        root = {"id": "root", "name": "Our analytics", "authority_level": None}
        return [root, *self.collections.values()]

    def _add_collection(self, *, body: Any, **_: Any) -> Json:
        check(COLLECTION, body)
        number = self.new_id()
        entry = {"id": number, "archived": False, "location": "/", "slug": "x", **body}
        self.collections[number] = entry
        return entry

    def _items(self, number: int, *, query: Mapping[str, str], **_: Any) -> Json:
        found(self.collections, number)
        rows = [
            {**{name: entry.get(name) for name in ("id", "name", "description")}, "model": model}
            for model, kept in (("card", self.cards), ("dashboard", self.dashboards))
            for entry in kept.values()
            if entry.get("collection_id") == number and not entry.get("archived")
            if query.get("models") in (None, model)
        ]
        return {"data": rows, "total": len(rows), "models": ["card", "dashboard"]}

    # -- cards

    def _list_cards(self, *, query: Mapping[str, str], **_: Any) -> list[Json]:
        wanted = query.get("f", "all")
        return [
            card
            for card in self.cards.values()
            if bool(card["archived"]) == (wanted == "archived")
            and (wanted != "database" or card.get("database_id") == int(query["model_id"]))
        ]

    def _stored_query(self, body: Any) -> Json:
        stored = body["dataset_query"]
        check(MBQL5_QUERY if self.mbql5 else MBQL4_QUERY, stored)
        native = stored["stages"][0] if self.mbql5 else stored["native"]
        sql = native["native" if self.mbql5 else "query"]
        tags = native.get("template-tags", {})
        places = set(re.findall(r"\{\{\s*(\w+)\s*\}\}", sql))
        assert places == set(tags), "tags and places differ"
        assert all(name == tag["name"] for name, tag in tags.items())
        known = {entry["id"] for columns in self._fields.values() for entry in columns.values()}
        for tag in tags.values():
            if "dimension" in tag:
                assert tag["dimension"][2 if self.mbql5 else 1] in known
        found(self.databases, stored["database"])
        kept: Json = json.loads(json.dumps(stored))
        return kept

    def _add_card(self, *, body: Any, **_: Any) -> Json:
        check(CARD, body)
        entity_id = body.get("entity_id")
        if entity_id and any(card["entity_id"] == entity_id for card in self.cards.values()):
            raise Refused(500, {"message": "Unique index or primary key violation"})
        if entity_id:
            assert re.fullmatch(r"[A-Za-z0-9_-]{21}", entity_id)
        query = self._stored_query(body)
        kept = {} if self.loses_queries else query
        return self.add_card(**{**body, "dataset_query": kept, "database_id": query["database"]})

    def _get_card(self, number: int, **_: Any) -> Json:
        return found(self.cards, number)

    def _put_card(self, number: int, *, body: Any, **_: Any) -> Json:
        check(CARD_UPDATE, body)
        card = found(self.cards, number)
        if "dataset_query" in body:
            body = {**body, "dataset_query": self._stored_query(body)}
        card.update(body)
        return card

    # -- dashboards

    def _add_dashboard(self, *, body: Any, **_: Any) -> Json:
        check(DASHBOARD, body)
        number = self.new_id()
        self.dashboards[number] = {
            "id": number,
            "archived": False,
            "description": None,
            "parameters": [],
            "tabs": [],
            "dashcards": [],
            "entity_id": f"dash{number:017d}",
            **body,
        }
        return self.dashboards[number]

    def _get_dashboard(self, number: int, **_: Any) -> Json:
        dashboard = found(self.dashboards, number)
        shown = [
            {
                **entry,
                "dashboard_id": number,
                "card": self.cards.get(entry.get("card_id") or 0),
                "series": [self.cards[other["id"]] for other in entry.get("series") or []],
                "created_at": "2026-01-31T00:00:00Z",
            }
            for entry in dashboard["dashcards"]
        ]
        return {**dashboard, "dashcards": shown, "param_fields": {}}

    def _put_dashboard(self, number: int, *, body: Any, **_: Any) -> Json:
        check(DASHBOARD_UPDATE, body)
        dashboard = found(self.dashboards, number)
        if "dashcards" in body or "tabs" in body:
            # what a request does not name is gone
            self._put_contents(dashboard, body.get("tabs") or [], body.get("dashcards") or [])
        dashboard.update(
            {name: value for name, value in body.items() if name not in ("tabs", "dashcards")}
        )
        return self._get_dashboard(number)

    def _put_contents(self, dashboard: Json, tabs: list[Json], dashcards: list[Json]) -> None:
        for entries in (tabs, dashcards):
            ids = [entry["id"] for entry in entries]
            if len(ids) != len(set(ids)):
                raise Refused(400, {"errors": {"dashcards": "ids are not unique"}})
        known_tabs = {tab["id"] for tab in dashboard["tabs"]}
        known_cards = {entry["id"] for entry in dashboard["dashcards"]}
        new_ids = {
            entry["id"]: entry["id"] if entry["id"] > 0 else self.new_id()
            for entry in (*tabs, *dashcards)
        }
        assert {tab["id"] for tab in tabs if tab["id"] > 0} <= known_tabs
        assert {entry["id"] for entry in dashcards if entry["id"] > 0} <= known_cards
        tab_ids = {tab["id"]: tab["id"] if tab["id"] > 0 else self.new_id() for tab in tabs}
        stored = []
        for entry in dashcards:
            tab = entry.get("dashboard_tab_id")
            if bool(tabs) != (tab is not None) or (tab is not None and tab not in tab_ids):
                raise Refused(500, {"message": f"dashcard {entry['id']} is on no tab"})
            if entry.get("card_id") is not None:
                found(self.cards, entry["card_id"])
            row = {**entry, "id": new_ids[entry["id"]]}
            if tab is not None:
                row["dashboard_tab_id"] = tab_ids[tab]
            stored.append(row)
        dashboard["tabs"] = [
            {"id": tab_ids[tab["id"]], "name": tab["name"], "position": place}
            for place, tab in enumerate(tabs)
        ]
        dashboard["dashcards"] = stored


def check(schema: Json, body: Any) -> None:
    """Refuse a body that is not of a schema, as Metabase does: 400 and errors by field."""
    validator = jsonschema.Draft202012Validator(schema)
    errors = {
        ".".join(map(str, error.absolute_path)) or "body": error.message
        for error in validator.iter_errors(body)
    }
    if errors:
        raise Refused(400, {"errors": errors, "specific-errors": errors})


def found(kept: Mapping[int, Json], number: int) -> Json:
    if number not in kept:
        raise Refused(404, "Not found.")
    return kept[number]


@contextmanager
def serving(fake: FakeMetabase) -> Iterator[FakeMetabase]:
    """Serve on a loopback port as long as the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _handle(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            text = self.rfile.read(length)
            parts = urlsplit(self.path)
            query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            open_paths = ("/api/session", "/api/session/properties", "/api/setup")
            known = (
                self.headers.get("X-API-Key") == API_KEY
                or self.headers.get("X-Metabase-Session") == SESSION
            )
            try:
                if not known and parts.path not in open_paths:
                    raise Refused(401, "Unauthenticated")
                body = json.loads(text) if text else None
                self._send(200, fake.answer(str(self.command), parts.path, query, body))
            except Refused as refused:
                self._send(refused.status, refused.said)
            except AssertionError as error:
                self._send(400, {"errors": {"body": f"assertion: {error}"}})

        do_GET = do_POST = do_PUT = _handle  # noqa: N815

        def _send(self, status: int, said: Any) -> None:
            is_text = isinstance(said, str)
            payload = b"" if said is None else (said if is_text else json.dumps(said)).encode()
            self.send_response(204 if said is None else status)
            self.send_header("Content-Type", "text/plain" if is_text else "application/json")
            self.send_header("Content-Length", str(len(payload)))
            if status in (301, 302, 307):
                self.send_header("Location", "https://elsewhere.example.com/")
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
