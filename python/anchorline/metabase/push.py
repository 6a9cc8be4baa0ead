"""Compare a server with the dashboards of the project, and make it as they are.

What is ours is known by its marker, the last line of a description such as
`[anchorline question planning/overdue]`, a question also by its entity id; so it may be renamed on
either side, and questions may be moved. Nothing is ever deleted: what people have added stays, and
so does what the project no longer has.

The same steps run twice: once to say what would be done, once to do it.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from anchorline.errors import AnchorlineError
from anchorline.metabase.client import Metabase, MetabaseError, listed, speaks_mbql5
from anchorline.metabase.dashboards import Dashboard, Question
from anchorline.metabase.layout import contents, wanted_contents, with_settings
from anchorline.metabase.queries import (
    NativeQuery,
    from_dataset_query,
    to_dataset_query,
    wanted_query,
)

KEPT_PASSWORD: Final = "**MetabasePass**"  # noqa: S105 (what Metabase shows instead of one)

Stored = Mapping[str, Any]


@dataclass(frozen=True)
class Connection:
    """How Metabase reaches the database: as a login with the reader's rights.

    `name` is what the database is called in Metabase. `given` (of host, port, dbname, user, ssl) is
    what it should be there, `usual` the rest for a database that is made. Without a password none
    can be made, but one that is there can be used.
    """

    name: str
    schema: str
    usual: Mapping[str, Any]
    given: Mapping[str, Any] = field(default_factory=dict)
    password: str | None = None

    def check_password(self) -> None:
        """Raise AnchorlineError where a database cannot be made."""
        if self.password is None:
            raise AnchorlineError(
                f"Metabase has no database {self.name!r} yet, and no password to make it with. "
                f"Set ANCHORLINE_READER_PASSWORD to that of {self.details['user']}."
            )

    @property
    def details(self) -> dict[str, Any]:
        """The settings of a new database, without the password: it sees the marts alone."""
        return {
            **self.usual,
            **self.given,
            "schema-filters-type": "inclusion",
            "schema-filters-patterns": self.schema,
        }


@dataclass(frozen=True)
class Change:
    """What is done to one thing: `create`, `update`, `restore`, `nothing`, or it is `left`."""

    action: str
    kind: str
    name: str
    details: str = ""


@dataclass
class Push:
    """One comparison, or one push where `is_applied`.

    `is_new`: nobody has set the server up, so there is nothing to read yet. `changes` and
    `failures` say what was found, done and refused.
    """

    server: Metabase
    dashboards: Sequence[Dashboard]
    connection: Connection
    collection_name: str
    is_applied: bool
    is_new: bool = False
    sync_seconds: float = 300
    poll_seconds: float = 2
    tell: Callable[[str], None] = print
    changes: list[Change] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Go through database, collection, questions and dashboards.

        A question or dashboard that the server refuses is noted in `failures`, and the others go
        on. Raises AnchorlineError where it cannot go on at all.
        """
        self._mbql5 = speaks_mbql5(self.server.get("/api/session/properties"))
        database_id = self._database()
        self._fields = self._field_ids(database_id)
        collection_id = self._collection()
        self._read_questions(database_id)
        card_ids: dict[str, int] = {}
        for dashboard in self.dashboards:
            for card in dashboard.cards:
                self._tried(
                    f"Question {card.question.title!r}",
                    partial(self._question, card.question, database_id, collection_id, card_ids),
                )
        for dashboard in self.dashboards:
            self._tried(
                f"Dashboard {dashboard.title!r}",
                partial(self._dashboard, dashboard, collection_id, card_ids),
            )
        self._name_what_is_left()

    # -- the database --------------------------------------------------------------------------

    def _database(self) -> int | None:
        wanted = self.connection
        found = None
        for entry in [] if self.is_new else listed(self.server.get("/api/database")):
            if entry["name"].lower() == wanted.name.lower():
                found = self.server.get(f"/api/database/{entry['id']}")
        if found is None:
            return self._new_database()
        there = found.get("details")
        if there is None:
            raise AnchorlineError(
                f"Metabase does not show the settings of its database {wanted.name!r}. The API key "
                "must belong to the group Administrators."
            )
        changed = [name for name, value in wanted.given.items() if there.get(name) != value]
        if changed:
            self._note("update", "database", wanted.name, ", ".join(changed))
            if self.is_applied:
                password = wanted.password or KEPT_PASSWORD
                details = {**there, **wanted.given, "password": password}
                self.server.put(f"/api/database/{found['id']}", {"details": details})
        else:
            self._note("nothing", "database", wanted.name)
        return int(found["id"])

    def _new_database(self) -> int | None:
        wanted = self.connection
        details = wanted.details
        where = "{user} at {host}:{port}/{dbname}".format_map(details)
        self._note("create", "database", wanted.name, where)
        if not self.is_applied:
            return None
        wanted.check_password()
        created = self.server.post(
            "/api/database",
            {
                "name": wanted.name,
                "engine": "postgres",
                "details": {**details, "password": wanted.password},
                "is_full_sync": True,
                "is_on_demand": False,
                "connection_source": "admin",
            },
        )
        return int(created["id"])

    def _field_ids(self, database_id: int | None) -> dict[tuple[str, str], int]:
        """Return the ids of fields by table and column, once all that are needed are there."""
        if database_id is None:
            return {}
        needed = {
            place
            for dashboard in self.dashboards
            for card in dashboard.cards
            for place in card.question.fields.values()
        }
        found = self._known_fields(database_id)
        if not self.is_applied or needed <= found.keys():
            return found
        self.server.post(f"/api/database/{database_id}/sync_schema")
        self.tell("Metabase is reading the database's tables.")
        deadline = time.monotonic() + self.sync_seconds
        while not needed <= found.keys():
            if time.monotonic() > deadline:
                lacking = ", ".join(sorted(".".join(place) for place in needed - found.keys()))
                raise AnchorlineError(
                    f"After {self.sync_seconds:.0f} s Metabase does not know {lacking}. Look at "
                    f"the database {self.connection.name!r} in its admin settings: may its user "
                    f"read {self.connection.schema}? Then push again."
                )
            time.sleep(self.poll_seconds)
            found = self._known_fields(database_id)
        return found

    def _known_fields(self, database_id: int) -> dict[tuple[str, str], int]:
        metadata = self.server.get(f"/api/database/{database_id}/metadata", include_hidden="true")
        return {
            (table["name"], entry["name"]): int(entry["id"])
            for table in metadata.get("tables", [])
            if table.get("schema") == self.connection.schema
            for entry in table.get("fields", [])
        }

    # -- the collection ------------------------------------------------------------------------

    def _collection(self) -> int | None:
        # two databases on a server have a collection each
        mark = marker("collection", self.connection.name)
        for entry in [] if self.is_new else listed(self.server.get("/api/collection")):
            if mark in (entry.get("description") or "") and not entry.get("archived"):
                self._note("nothing", "collection", entry["name"])
                return int(entry["id"])
        self._note("create", "collection", self.collection_name)
        if not self.is_applied:
            return None
        text = f"`anchorline metabase push` keeps these dashboards up to date.\n\n{mark}"
        created = self.server.post(
            "/api/collection", {"name": self.collection_name, "description": text}
        )
        return int(created["id"])

    # -- questions -----------------------------------------------------------------------------

    def _read_questions(self, database_id: int | None) -> None:
        """Find the questions of ours that are there, also those in the trash."""
        self._stored: dict[str, Stored] = {}
        if database_id is None:
            return
        alive = listed(self.server.get("/api/card", f="database", model_id=str(database_id)))
        trashed = [
            card
            for card in listed(self.server.get("/api/card", f="archived"))
            if card.get("database_id") == database_id
        ]
        entity_ids = {
            entity_id(self.connection.name, card.question.key): card.question.key
            for dashboard in self.dashboards
            for card in dashboard.cards
        }
        for card in alive + trashed:
            key = marked(card, "question") or entity_ids.get(str(card.get("entity_id")))
            if key:
                self._stored.setdefault(key, card)

    def _question(
        self,
        question: Question,
        database_id: int | None,
        collection_id: int | None,
        card_ids: dict[str, int],
    ) -> None:
        stored = self._stored.get(question.key)
        query = wanted_query(
            question, database_id or 0, lambda table, column: self._fields.get((table, column))
        )
        wanted: dict[str, Any] = {
            "name": question.title,
            "description": f"{question.description}\n\n{marker('question', question.key)}",
            "display": question.display,
        }
        if stored is None:
            self._note("create", "question", question.title)
            if self.is_applied:
                created = self.server.post(
                    "/api/card",
                    {
                        **wanted,
                        "collection_id": collection_id,
                        "entity_id": entity_id(self.connection.name, question.key),
                        "dataset_query": self._as_stored(query, question.key),
                        "visualization_settings": question.settings,
                    },
                )
                _check_kept(created, query)
                card_ids[question.key] = int(created["id"])
            return
        card_ids[question.key] = int(stored["id"])
        there = stored.get("visualization_settings") or {}
        wanted["visualization_settings"] = with_settings(there, question.settings)
        changed = {name: value for name, value in wanted.items() if stored.get(name) != value}
        if from_dataset_query(stored.get("dataset_query")) != query:
            changed["dataset_query"] = self._as_stored(query, question.key)
        if stored.get("archived"):
            changed["archived"] = False
        if not changed:
            self._note("nothing", "question", question.title)
            return
        action = "restore" if "archived" in changed else "update"
        self._note(action, "question", question.title, _said(changed, stored))
        if self.is_applied:
            _check_kept(self.server.put(f"/api/card/{stored['id']}", changed), query)

    def _as_stored(self, query: NativeQuery, key: str) -> dict[str, Any]:
        return to_dataset_query(query, key, mbql5=self._mbql5)

    # -- dashboards ----------------------------------------------------------------------------

    def _dashboard(
        self, dashboard: Dashboard, collection_id: int | None, card_ids: Mapping[str, int]
    ) -> None:
        lacking = [
            card.question.title for card in dashboard.cards if card.question.key not in card_ids
        ]
        if lacking and self.is_applied:
            raise AnchorlineError(f"it waits for its questions {', '.join(map(repr, lacking))}.")
        wanted: dict[str, Any] = {
            "name": dashboard.title,
            "description": f"{dashboard.description}\n\n{marker('dashboard', dashboard.key)}",
        }
        stored = self._stored_dashboard(dashboard, collection_id, card_ids)
        if stored is None:
            count = len(list(dashboard.cards))
            self._note("create", "dashboard", dashboard.title, f"{count} questions")
            if not self.is_applied:
                return
            created = self.server.post("/api/dashboard", {**wanted, "collection_id": collection_id})
            stored = self.server.get(f"/api/dashboard/{created['id']}")
            self._put_dashboard(stored, wanted_contents(stored, dashboard, card_ids))
            return
        changed = {name: value for name, value in wanted.items() if stored.get(name) != value}
        # questions that are yet to be made have no ids: any will do to say that they are new
        ids = {key: -1 - place for place, key in enumerate(self._keys())} | dict(card_ids)
        there, contained = contents(stored), wanted_contents(stored, dashboard, ids)
        parts = {name: value for name, value in contained.items() if there[name] != value}
        if not changed and not parts:
            self._note("nothing", "dashboard", dashboard.title)
            return
        names = {"parameters": "filters", "tabs": "tabs", "dashcards": "cards"}
        said = [_said(changed, stored)] if changed else []
        said += [names[name] for name in parts]
        self._note("update", "dashboard", dashboard.title, ", ".join(said))
        if self.is_applied:
            self._put_dashboard(stored, {**changed, **(contained if parts else {})})

    def _put_dashboard(self, stored: Stored, body: Mapping[str, Any]) -> None:
        self.server.put(f"/api/dashboard/{stored['id']}", body)

    def _stored_dashboard(
        self, dashboard: Dashboard, collection_id: int | None, card_ids: Mapping[str, int]
    ) -> Stored | None:
        """Find a dashboard by its marker, else by its name and our questions on it."""
        if collection_id is None:
            return None
        items = [
            item
            for item in listed(
                self.server.get(f"/api/collection/{collection_id}/items", models="dashboard")
            )
            if item["model"] == "dashboard"
        ]
        for item in items:
            if marked(item, "dashboard") == dashboard.key:
                return _as_map(self.server.get(f"/api/dashboard/{item['id']}"))
        ours = {card_ids.get(card.question.key) for card in dashboard.cards} - {None}
        for item in items:
            if item["name"] == dashboard.title and marked(item, "dashboard") is None:
                stored = _as_map(self.server.get(f"/api/dashboard/{item['id']}"))
                if ours & {entry.get("card_id") for entry in stored.get("dashcards") or []}:
                    return stored
        return None

    # -- all -----------------------------------------------------------------------------------

    def _keys(self) -> list[str]:
        return [card.question.key for entry in self.dashboards for card in entry.cards]

    def _name_what_is_left(self) -> None:
        for key, card in self._stored.items():
            if key not in self._keys() and not card.get("archived"):
                self._note("left", "question", card["name"], "the project no longer has it")

    def _note(self, action: str, kind: str, name: str, details: str = "") -> None:
        self.changes.append(Change(action, kind, name, details))

    def _tried(self, what: str, step: Callable[[], None]) -> None:
        try:
            step()
        except AnchorlineError as error:
            # nobody answers, or nobody lets us in: the next one would fail likewise
            if isinstance(error, MetabaseError) and error.status in (0, 401):
                raise
            self.failures.append(f"{what}: {error}")


def set_up(server: Metabase, properties: Stored, email: str, password: str) -> None:
    """Make the first user of a new server, its administrator, and log in; nothing is reported."""
    server.keep_secret(password)
    answer = server.post(
        "/api/setup",
        {
            "token": properties.get("setup-token"),
            "user": {
                "email": email,
                "password": password,
                "first_name": None,
                "last_name": None,
            },
            "prefs": {"site_name": "anchorline", "site_locale": "en"},
        },
    )
    server.use_session(str(answer["id"]))
    server.put("/api/setting/anon-tracking-enabled", {"value": False})


def marker(kind: str, key: str) -> str:
    """Return the line by which a thing of ours is known."""
    return f"[anchorline {kind} {key}]"


def marked(stored: Stored, kind: str) -> str | None:
    """Return the key in the marker of a stored thing; None where it has none."""
    _, found, rest = (stored.get("description") or "").rpartition(f"[anchorline {kind} ")
    key, end, _ = rest.partition("]")
    return key if found and end else None


def entity_id(database: str, key: str) -> str:
    """Return the id of 21 characters that a question of ours has on every server."""
    digest = hashlib.sha256(f"{database}/{key}".encode()).digest()
    return base64.urlsafe_b64encode(digest).decode()[:21]


def _check_kept(answer: Stored, query: NativeQuery) -> None:
    """Raise AnchorlineError where a server says yes, and keeps another query or none."""
    if from_dataset_query(answer.get("dataset_query")) != query:
        raise AnchorlineError(
            "Metabase took it and kept another query than it was sent. Is it of a release that "
            "anchorline does not know yet?"
        )


def _said(changed: Mapping[str, Any], stored: Stored) -> str:
    names = {
        "dataset_query": "query",
        "visualization_settings": "settings",
        "archived": "out of the trash",
    }
    said = []
    for name, value in changed.items():
        if name == "name":
            said.append(f"name: {stored.get('name')!r} becomes {value!r}")
        else:
            said.append(names.get(name, name))
    return ", ".join(said)


def _as_map(answer: Any) -> Stored:
    return dict(answer)
