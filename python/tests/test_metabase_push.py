"""Pushing dashboards: what is planned, sent and left alone, on both kinds of servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from metabase_server import API_KEY, EMAIL, PASSWORD, SESSION, FakeMetabase, serving
from urllib3.util import Retry

from anchorline.cli import main
from anchorline.errors import AnchorlineError
from anchorline.metabase import compiled
from anchorline.metabase.client import Metabase, MetabaseError, listed, speaks_mbql5
from anchorline.metabase.compiled import CompiledQuestions
from anchorline.metabase.dashboards import Dashboard, read_dashboards, tags
from anchorline.metabase.describe import describe_marts
from anchorline.metabase.push import Change, Connection, Push, marker
from anchorline.metabase.queries import from_dataset_query, to_dataset_query

TABLES = {
    "batches": ["batch_id", "batch_number"],
    "states": ["batch_id", "state_date", "weight_g"],
}

QUERIES = {
    "growth/weight": "select 1 from s.states where true [[and {{batch}}]] [[and {{dates}}]]\n"
    "    and 'week' = {{period}}",
    "growth/anchors": "select 2 from s.states where true [[and {{dates}}]]",
    "farm/all": "select 3",
}

GROWTH = """
title: Growth
description: How they grow.
filters:
  - {name: batch, title: Batch, type: one_of, field: batches.batch_number}
  - {name: dates, title: Dates, type: dates, field: states.state_date}
  - {name: period, title: Days or weeks, type: choice, values: [week, day], default: week}
tabs:
  - title: Weight
    cards:
      - question: weight
        title: Mean weight
        description: In g.
        display: line
        at: [0, 0, 24, 8]
        settings: {graph.dimensions: [Date], series_settings: {Actual: {color: "#0072B2"}}}
  - title: Anchors
    cards:
      - question: anchors
        title: Weighings
        description: All of them.
        display: table
        at: [0, 0, 12, 6]
"""

FARM = """
title: Farm
description: All of it.
cards:
  - question: all
    title: Batches
    description: Each.
    display: table
    at: [0, 0, 24, 4]
"""

CONNECTION = Connection(
    name="anchorline",
    schema="anchorline_marts",
    usual={"host": "db", "port": 5432, "dbname": "farm", "user": "dashboards", "ssl": False},
    password="reader's own",  # noqa: S106
)


def _project(folder: Path, **changed: str) -> list[Dashboard]:
    for name, text in {"growth": GROWTH, "farm": FARM, **changed}.items():
        place = folder / "analyses" / "metabase" / name
        place.mkdir(parents=True, exist_ok=True)
        (place / "dashboard.yml").write_text(text, "utf-8")
    return read_dashboards(folder, QUERIES)


@pytest.fixture
def dashboards(tmp_path: Path) -> list[Dashboard]:
    return _project(tmp_path)


@pytest.fixture(params=[True, False], ids=["MBQL 5", "MBQL 4"])
def fake(request: pytest.FixtureRequest) -> Iterator[FakeMetabase]:
    with serving(FakeMetabase(TABLES, mbql5=request.param)) as found:
        yield found


def _push(
    fake: FakeMetabase,
    dashboards: list[Dashboard],
    connection: Connection = CONNECTION,
    *,
    is_applied: bool = True,
    sync_seconds: float = 5,
) -> Push:
    server = Metabase(fake.url)
    server.use_api_key(API_KEY)
    push = Push(
        server,
        dashboards,
        connection,
        "Fish",
        is_applied=is_applied,
        sync_seconds=sync_seconds,
        poll_seconds=0.01,
        tell=lambda _: None,
    )
    fake.requests.clear()
    push.run()
    return push


def _acted(push: Push) -> list[tuple[str, str, str]]:
    return [
        (change.action, change.kind, change.name)
        for change in push.changes
        if change.action != "nothing"
    ]


ALL_NEW = [
    ("create", "database", "anchorline"),
    ("create", "collection", "Fish"),
    ("create", "question", "Batches"),
    ("create", "question", "Mean weight"),
    ("create", "question", "Weighings"),
    ("create", "dashboard", "Farm"),
    ("create", "dashboard", "Growth"),
]


def _named(kept: Mapping[int, dict[str, Any]], name: str) -> dict[str, Any]:
    (entry,) = [entry for entry in kept.values() if entry["name"] == name]
    return entry


def test_first_push_makes_everything_and_the_second_nothing(
    fake: FakeMetabase, dashboards: list[Dashboard]
) -> None:
    first = _push(fake, dashboards)
    assert _acted(first) == ALL_NEW
    assert not first.failures
    second = _push(fake, dashboards)
    assert _acted(second) == []
    assert fake.writes == []
    assert len(fake.cards) == 3
    assert len(fake.dashboards) == 2
    assert len(fake.databases) == len(fake.collections) == 1


def test_a_plan_says_what_a_push_does_and_writes_nothing(
    fake: FakeMetabase, dashboards: list[Dashboard]
) -> None:
    plan = _push(fake, dashboards, is_applied=False)
    assert fake.writes == []
    assert not fake.databases
    assert plan.changes == _push(fake, dashboards).changes


def test_database_is_the_readers_and_shows_the_marts_alone(
    fake: FakeMetabase, dashboards: list[Dashboard]
) -> None:
    _push(fake, dashboards)
    (database,) = fake.databases.values()
    assert database["engine"] == "postgres"
    assert database["details"] == {
        "host": "db",
        "port": 5432,
        "dbname": "farm",
        "user": "dashboards",
        "password": "reader's own",
        "ssl": False,
        "schema-filters-type": "inclusion",
        "schema-filters-patterns": "anchorline_marts",
    }


def test_filters_are_wired_to_fields_and_values(
    fake: FakeMetabase, dashboards: list[Dashboard]
) -> None:
    _push(fake, dashboards)
    card = _named(fake.cards, "Mean weight")
    query = from_dataset_query(card["dataset_query"])
    assert query is not None
    assert query.sql == QUERIES["growth/weight"]
    assert query.tags["batch"]["dimension"] == fake.field_id("batches", "batch_number")
    assert query.tags["dates"]["dimension"] == fake.field_id("states", "state_date")
    assert query.tags["dates"]["widget-type"] == "date/all-options"
    assert query.tags["period"]["default"] == "week"
    growth = _named(fake.dashboards, "Growth")
    by_slug = {entry["slug"]: entry for entry in growth["parameters"]}
    assert by_slug["batch"]["type"] == "string/="
    assert by_slug["batch"]["isMultiSelect"] is False
    assert by_slug["period"]["values_source_config"] == {"values": ["week", "day"]}
    by_card = {entry["card_id"]: entry for entry in growth["dashcards"]}
    weight = by_card[card["id"]]
    anchors = by_card[_named(fake.cards, "Weighings")["id"]]
    targets = {entry["parameter_id"]: entry["target"] for entry in weight["parameter_mappings"]}
    assert {slug: targets[entry["id"]] for slug, entry in by_slug.items()} == {
        "batch": ["dimension", ["template-tag", "batch"]],
        "dates": ["dimension", ["template-tag", "dates"]],
        "period": ["variable", ["template-tag", "period"]],
    }
    assert [m["parameter_id"] for m in anchors["parameter_mappings"]] == [by_slug["dates"]["id"]]
    assert [tab["name"] for tab in growth["tabs"]] == ["Weight", "Anchors"]
    assert weight["dashboard_tab_id"] != anchors["dashboard_tab_id"]


def test_a_renamed_question_is_renamed_and_no_other_is_made(
    fake: FakeMetabase, dashboards: list[Dashboard], tmp_path: Path
) -> None:
    _push(fake, dashboards)
    number = _named(fake.cards, "Mean weight")["id"]
    renamed = _project(tmp_path, growth=GROWTH.replace("Mean weight", "Weight of the fish"))
    plan = _push(fake, renamed, is_applied=False)
    change = Change(
        "update",
        "question",
        "Weight of the fish",
        "name: 'Mean weight' becomes 'Weight of the fish'",
    )
    assert [entry for entry in plan.changes if entry.action != "nothing"] == [change]
    assert fake.cards[number]["name"] == "Mean weight"
    _push(fake, renamed)
    assert fake.writes == [("PUT", f"/api/card/{number}")]
    assert fake.cards[number]["name"] == "Weight of the fish"
    assert len(fake.cards) == 3
    assert _acted(_push(fake, renamed)) == []


def test_what_people_renamed_and_moved_is_found(
    fake: FakeMetabase, dashboards: list[Dashboard]
) -> None:
    _push(fake, dashboards)
    card = _named(fake.cards, "Mean weight")
    card["name"] = "Our weight"
    card["collection_id"] = None
    fake.dashboards[_named(fake.dashboards, "Growth")["id"]]["name"] = "Ours"
    push = _push(fake, dashboards)
    assert _acted(push) == [
        ("update", "question", "Mean weight"),
        ("update", "dashboard", "Growth"),
    ]
    assert card["name"] == "Mean weight"
    assert card["collection_id"] is None
    assert len(fake.cards) == 3
    assert len(fake.dashboards) == 2


def test_a_description_without_its_marker_gets_it_back(
    fake: FakeMetabase, dashboards: list[Dashboard]
) -> None:
    _push(fake, dashboards)
    card = _named(fake.cards, "Weighings")
    card["description"] = "Rewritten"
    _named(fake.dashboards, "Growth")["description"] = None
    _push(fake, dashboards)
    assert card["description"].endswith(marker("question", "growth/anchors"))
    assert len(fake.cards) == 3
    assert len(fake.dashboards) == 2
    assert _acted(_push(fake, dashboards)) == []


def test_a_changed_query_is_sent(fake: FakeMetabase, dashboards: list[Dashboard]) -> None:
    _push(fake, dashboards)
    (farm, growth) = dashboards
    (card,) = farm.tabs[0].cards
    question = replace(card.question, query="select 4")
    changed = replace(
        farm, tabs=(replace(farm.tabs[0], cards=(replace(card, question=question),)),)
    )
    push = _push(fake, [changed, growth])
    assert [entry for entry in push.changes if entry.action != "nothing"] == [
        Change("update", "question", "Batches", "query")
    ]
    stored = from_dataset_query(_named(fake.cards, "Batches")["dataset_query"])
    assert stored is not None
    assert stored.sql == "select 4"


def test_what_people_added_stays(fake: FakeMetabase, dashboards: list[Dashboard]) -> None:
    _push(fake, dashboards)
    growth = _named(fake.dashboards, "Growth")
    weight = next(entry for entry in growth["dashcards"] if entry["size_x"] == 24)
    mine = fake.add_card(name="Mine", collection_id=growth["collection_id"])
    theirs = {
        "id": fake.new_id(),
        "card_id": mine["id"],
        "dashboard_tab_id": weight["dashboard_tab_id"],
        "row": 20,
        "col": 3,
        "size_x": 4,
        "size_y": 4,
        "parameter_mappings": [],
        "visualization_settings": {"card.title": "Mine"},
        "series": [],
    }
    text = {
        **theirs,
        "id": fake.new_id(),
        "card_id": None,
        # it lies under ours
        "row": 2,
        "visualization_settings": {"virtual_card": {"display": "text"}, "text": "Hello"},
    }
    tab = {"id": fake.new_id(), "name": "Notes", "position": 2}
    filter_of_theirs = {"id": "abcd1234", "type": "number/=", "name": "Limit", "slug": "limit"}
    mapping = {"parameter_id": "abcd1234", "target": ["variable", ["template-tag", "x"]]}
    growth["dashcards"] += [theirs, text]
    growth["tabs"].append(tab)
    growth["parameters"].insert(0, filter_of_theirs)
    weight["parameter_mappings"].append(mapping)
    weight["visualization_settings"] = {"card.title": "Weight, as we call it"}
    _named(fake.cards, "Mean weight")["visualization_settings"]["column_settings"] = {"x": {"y": 1}}
    weight["size_x"] = 10  # ours is put back in its place

    push = _push(fake, dashboards)
    assert _acted(push) == [("update", "dashboard", "Growth")]
    kept = {entry["id"]: entry for entry in growth["dashcards"]}
    assert kept[theirs["id"]] == theirs
    assert kept[text["id"]]["row"] == theirs["row"] + theirs["size_y"]
    assert kept[text["id"]]["visualization_settings"]["text"] == "Hello"
    assert kept[weight["id"]]["visualization_settings"] == {"card.title": "Weight, as we call it"}
    assert mapping in kept[weight["id"]]["parameter_mappings"]
    assert [entry["name"] for entry in growth["tabs"]] == ["Weight", "Anchors", "Notes"]
    assert growth["parameters"][0] == filter_of_theirs
    settings = _named(fake.cards, "Mean weight")["visualization_settings"]
    assert settings["column_settings"] == {"x": {"y": 1}}
    assert _acted(_push(fake, dashboards)) == []
    assert fake.writes == []


def test_a_renamed_tab_keeps_its_cards(
    fake: FakeMetabase, dashboards: list[Dashboard], tmp_path: Path
) -> None:
    _push(fake, dashboards)
    growth = _named(fake.dashboards, "Growth")
    numbers = [tab["id"] for tab in growth["tabs"]]
    _push(fake, _project(tmp_path, growth=GROWTH.replace("title: Anchors", "title: Weighed")))
    assert [tab["id"] for tab in growth["tabs"]] == numbers
    assert [tab["name"] for tab in growth["tabs"]] == ["Weight", "Weighed"]


def test_what_the_project_no_longer_has_is_named_and_left(
    fake: FakeMetabase, dashboards: list[Dashboard]
) -> None:
    _push(fake, dashboards)
    push = _push(fake, dashboards[:1])
    assert _acted(push) == [
        ("left", "question", "Mean weight"),
        ("left", "question", "Weighings"),
    ]
    assert fake.writes == []


def test_a_question_in_the_trash_comes_back(
    fake: FakeMetabase, dashboards: list[Dashboard]
) -> None:
    _push(fake, dashboards)
    card = _named(fake.cards, "Batches")
    card["archived"] = True
    push = _push(fake, dashboards)
    assert _acted(push) == [("restore", "question", "Batches")]
    assert card["archived"] is False


def test_a_server_that_is_upgraded_needs_no_push(tmp_path: Path) -> None:
    """Release 57 turned the stored queries into its own shape, with clauses' uuids of its own."""
    dashboards = _project(tmp_path)
    with serving(FakeMetabase(TABLES, mbql5=False)) as fake:
        _push(fake, dashboards)
        fake.mbql5 = True
        for card in fake.cards.values():
            query = from_dataset_query(card["dataset_query"])
            assert query is not None
            card["dataset_query"] = to_dataset_query(query, "of the server", mbql5=True)
        assert _acted(_push(fake, dashboards)) == []


def test_a_query_that_the_server_loses_is_told(
    fake: FakeMetabase, dashboards: list[Dashboard]
) -> None:
    fake.loses_queries = True
    push = _push(fake, dashboards)
    assert len(push.failures) == 5
    assert "kept another query" in push.failures[0]
    fake.loses_queries = False
    again = _push(fake, dashboards)
    assert not again.failures
    assert len(fake.cards) == 3
    assert _acted(_push(fake, dashboards)) == []


def test_tags_come_as_a_map_or_as_a_list(fake: FakeMetabase, dashboards: list[Dashboard]) -> None:
    _push(fake, dashboards)
    query = _named(fake.cards, "Mean weight")["dataset_query"]
    native = query["stages"][0] if fake.mbql5 else query["native"]
    native["template-tags"] = list(native["template-tags"].values())
    assert _acted(_push(fake, dashboards)) == []


def test_a_query_that_somebody_built_by_clicking_is_put_back(
    fake: FakeMetabase, dashboards: list[Dashboard]
) -> None:
    _push(fake, dashboards)
    card = _named(fake.cards, "Batches")
    for clicked in (
        {"type": "query", "database": 1, "query": {"source-table": 3}},
        {"lib/type": "mbql/query", "stages": [{"lib/type": "mbql.stage/mbql", "source-table": 3}]},
        {},
    ):
        card["dataset_query"] = clicked
        assert _acted(_push(fake, dashboards)) == [("update", "question", "Batches")]


@pytest.mark.parametrize("wrapped", [True, False])
def test_lists_come_plain_or_wrapped(wrapped: bool) -> None:
    entries = [{"id": 1}]
    assert listed({"data": entries, "total": 1} if wrapped else entries) == entries


def test_a_database_that_is_there_is_used_as_it_is(
    fake: FakeMetabase, dashboards: list[Dashboard]
) -> None:
    _push(fake, dashboards)
    without_password = replace(CONNECTION, usual={**CONNECTION.usual, "user": "x"}, password=None)
    assert _acted(_push(fake, dashboards, without_password)) == []
    moved = replace(without_password, given={"host": "db2"})
    push = _push(fake, dashboards, moved)
    assert push.changes[0] == Change("update", "database", "anchorline", "host")
    (database,) = fake.databases.values()
    assert database["details"]["host"] == "db2"
    assert database["details"]["password"] == CONNECTION.password


def test_two_databases_do_not_share_questions(
    fake: FakeMetabase, dashboards: list[Dashboard]
) -> None:
    _push(fake, dashboards)
    other = replace(CONNECTION, name="staging")
    assert _acted(_push(fake, dashboards, other))[0] == ("create", "database", "staging")
    assert len(fake.cards) == 6
    assert len(fake.collections) == 2
    assert _acted(_push(fake, dashboards)) == []
    assert _acted(_push(fake, dashboards, other)) == []


# -- what goes wrong -------------------------------------------------------------------------------


def test_tables_that_never_come_are_named(fake: FakeMetabase, dashboards: list[Dashboard]) -> None:
    fake.tables = {"batches": ["batch_id", "batch_number"]}
    with pytest.raises(AnchorlineError, match=r"does not know states\.state_date"):
        _push(fake, dashboards, sync_seconds=0.1)
    assert not fake.cards


def test_without_a_password_no_database_is_made(
    fake: FakeMetabase, dashboards: list[Dashboard]
) -> None:
    with pytest.raises(AnchorlineError, match="ANCHORLINE_READER_PASSWORD"):
        _push(fake, dashboards, replace(CONNECTION, password=None))
    assert fake.writes == []


def test_one_question_refused_stops_its_dashboard_alone(
    fake: FakeMetabase, dashboards: list[Dashboard]
) -> None:
    _push(fake, dashboards[:1])
    fake.refuse = {("POST", "/api/card"): (400, {"errors": {"display": "unknown"}})}
    push = _push(fake, dashboards)
    assert [line.split(":")[0] for line in push.failures] == [
        "Question 'Mean weight'",
        "Question 'Weighings'",
        "Dashboard 'Growth'",
    ]
    assert "display: unknown" in push.failures[0]
    fake.refuse = {}
    assert [change[1] for change in _acted(_push(fake, dashboards))] == [
        *("question", "question", "dashboard"),
    ]


@pytest.mark.parametrize(
    ("status", "said", "expected"),
    [
        (401, "Unauthenticated", "does not accept the API key"),
        (403, "You don't have permissions to do that.", "must belong to the group Administrators"),
        (404, "Not found.", "Metabase has no /api/collection: Not found."),
        (400, {"errors": {"name": "value must be a non-blank string."}}, "name: value must be"),
        (500, {"message": "boom", "trace": ["..."]}, r"\(500\): boom"),
        (307, "", "leads to https://elsewhere.example.com/"),
        (200, "<html>Welcome</html>", "is not Metabase"),
    ],
)
def test_refusals_are_told_plainly(
    fake: FakeMetabase, dashboards: list[Dashboard], status: int, said: Any, expected: str
) -> None:
    fake.refuse = {("POST", "/api/collection"): (status, said)}
    with pytest.raises(MetabaseError, match=expected):
        _push(fake, dashboards)


def test_no_secret_is_shown(fake: FakeMetabase, dashboards: list[Dashboard]) -> None:
    server = Metabase(fake.url)
    server.use_api_key(API_KEY)
    server.keep_secret("wrong")
    with pytest.raises(MetabaseError) as caught:
        server.post(
            "/api/database",
            {
                "name": "x",
                "engine": "postgres",
                "details": {"password": "wrong"},
                "is_full_sync": True,
                "is_on_demand": False,
                "connection_source": "admin",
            },
        )
    assert "check your password" in str(caught.value)
    assert "wrong" not in str(caught.value)


@pytest.mark.parametrize("url", ["metabase.example.com", "ftp://x", "https://me:pw@example.com"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(AnchorlineError) as caught:
        Metabase(url)
    assert "pw" not in str(caught.value)


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Retry, "sleep", lambda *_: None)
    with serving(FakeMetabase(TABLES)) as fake:
        url = fake.url
    with pytest.raises(MetabaseError, match="There is no Metabase at"):
        Metabase(url).post("/api/session", {})


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("v0.56.13", False),
        ("v1.56.1", False),
        ("v0.57.0", True),
        ("v1.58.2.1", True),
        ("vLOCAL_DEV", True),
        (None, True),
    ],
)
def test_the_shape_of_queries_is_that_of_the_release(tag: str | None, expected: bool) -> None:
    assert speaks_mbql5({"version": {"tag": tag}}) is expected


# -- the files -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("question: weight", "question: height", "no query height.sql"),
        ("type: dates", "type: days", "expected one of one_of"),
        ("title: Growth\n", "", "'title' is missing"),
        ("[0, 0, 24, 8]", "[1, 0, 24, 8]", "outside the dashboard"),
        ("name: dates", "name: days", "weight has no filter dates"),
        ("states.state_date", "state_date", "no table.column"),
    ],
)
def test_mistakes_in_a_dashboard_are_told(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    with pytest.raises(AnchorlineError, match=expected):
        _project(tmp_path, growth=GROWTH.replace(old, new, 1))


def test_a_query_without_a_card_is_told(tmp_path: Path) -> None:
    short = GROWTH[: GROWTH.index("  - title: Anchors")]
    with pytest.raises(AnchorlineError, match="has no card for growth/anchors"):
        _project(tmp_path, growth=short)


def test_places_of_filters() -> None:
    assert tags("a [[and {{batch}}]] or {{ period }} [[or {{batch}}]]") == ["batch", "period"]


# -- descriptions ----------------------------------------------------------------------------------

MANIFEST: dict[str, Any] = {
    "nodes": {
        "model.anchorline.batches": {
            "description": "One row per batch.",
            "columns": ["batch_id", "batch_number"],
        },
        "model.anchorline.states": {
            "description": "One row per day.",
            "columns": ["batch_id", "state_date", "weight_g", "input_hash"],
        },
        "model.anchorline.stg_batches": {"schema": "anchorline_staging", "columns": []},
        "test.anchorline.relations": {"resource_type": "test", "columns": []},
    },
    "sources": {},
    "child_map": {},
}
for _id, _node in MANIFEST["nodes"].items():
    _node.setdefault("resource_type", "model")
    _node.setdefault("schema", "anchorline_marts")
    _node |= {"name": _id.split(".")[-1], "database": "farm", "unique_id": _id, "tags": []}
    _node["config"] = {"materialized": "table"}
    _node["columns"] = {
        name: {"name": name, "description": f"The {name}.", "meta": {}} for name in _node["columns"]
    }


def _describe(fake: FakeMetabase, **given: Any) -> int:
    return describe_marts(
        MANIFEST,
        "anchorline_marts",
        **{
            "url": fake.url,
            "database": "anchorline",
            "api_key": API_KEY,
            "email": None,
            "password": None,
            "sync_seconds": 1,
            **given,
        },
    )


@pytest.fixture
def described(
    fake: FakeMetabase, dashboards: list[Dashboard], monkeypatch: pytest.MonkeyPatch
) -> FakeMetabase:
    monkeypatch.setattr("dbtmetabase._models._SYNC_PERIOD", 0.01)
    fake.tables = {**TABLES, "states": [*TABLES["states"], "input_hash"]}
    _push(fake, dashboards)
    return fake


def test_descriptions_keys_links_and_visibility(described: FakeMetabase) -> None:
    assert _describe(described) == 2
    assert described.table("states")["description"] == "One row per day."
    assert described.entry("states", "weight_g")["description"] == "The weight_g."
    assert described.entry("batches", "batch_id")["semantic_type"] == "type/PK"
    link = described.entry("states", "batch_id")
    assert link["semantic_type"] == "type/FK"
    assert link["fk_target_field_id"] == described.field_id("batches", "batch_id")
    assert described.entry("states", "input_hash")["visibility_type"] == "sensitive"
    assert described.entry("batches", "batch_number")["semantic_type"] == "type/Category"
    described.requests.clear()
    _describe(described)
    assert described.writes == [
        ("POST", f"/api/database/{next(iter(described.databases))}/sync_schema")
    ]


def test_descriptions_do_not_end_what_a_push_made(
    described: FakeMetabase, dashboards: list[Dashboard]
) -> None:
    _describe(described)
    assert _acted(_push(described, dashboards)) == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"database": "other"}, "could not be described in Metabase's database 'other'"),
        ({"api_key": "mb_wrong"}, "could not be described"),
        ({"api_key": None}, "Set METABASE_API_KEY"),
    ],
)
def test_why_nothing_is_described(
    described: FakeMetabase, given: dict[str, Any], expected: str
) -> None:
    with pytest.raises(AnchorlineError, match=expected):
        _describe(described, **given)


# -- the command -----------------------------------------------------------------------------------


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, dashboards: list[Dashboard]) -> Callable[..., Result]:
    @contextmanager
    def compiled_questions(target: str) -> Iterator[CompiledQuestions]:
        yield CompiledQuestions(dashboards, {"nodes": {}}, "anchorline_marts")

    monkeypatch.setattr(compiled, "compiled_questions", compiled_questions)
    for name in ("METABASE_API_KEY", "METABASE_USER", "METABASE_PASSWORD", "METABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PGHOST", "db.example")
    monkeypatch.setenv("ANCHORLINE_READER_PASSWORD", "reader's own")

    def command(fake: FakeMetabase, *arguments: str, **variables: str) -> Result:
        fake.sync_polls = 0
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        line = ["metabase", "push", "--target", "prod", "--url", fake.url, *arguments]
        return CliRunner().invoke(main, line)

    return command


def test_command_shows_the_plan_and_does_it(fake: FakeMetabase, run: Callable[..., Result]) -> None:
    plan = run(fake, "--dry-run", METABASE_API_KEY=API_KEY)
    assert plan.exit_code == 0, plan.output
    assert "create    question    Mean weight" in plan.stdout
    assert "7 to create; 0 as they should be." in plan.stdout
    assert "db.example:5432" in plan.stdout
    assert fake.writes == []
    done = run(fake, "--db-host", "timescaledb", "--db-port", "5433")
    assert done.exit_code == 0, done.output
    (database,) = fake.databases.values()
    assert (database["details"]["host"], database["details"]["port"]) == ("timescaledb", 5433)
    again = run(fake)
    assert "Nothing to do; 7 as they should be." in again.stdout
    everything = plan.output + done.output + again.output
    assert API_KEY not in everything
    assert "reader's own" not in everything


def test_command_sets_up_a_new_server(fake: FakeMetabase, run: Callable[..., Result]) -> None:
    fake.is_set_up = False
    refused = run(fake)
    assert refused.exit_code == 1
    assert "Nobody has set up Metabase" in refused.stderr
    plan = run(fake, "--dry-run", METABASE_USER=EMAIL, METABASE_PASSWORD=PASSWORD)
    assert plan.exit_code == 0, plan.output
    assert f"first administrator {EMAIL}" in plan.stdout
    lacking = run(fake, ANCHORLINE_READER_PASSWORD="")
    assert lacking.exit_code == 1
    assert "no password to make it with" in lacking.stderr
    assert not fake.is_set_up
    done = run(fake, ANCHORLINE_READER_PASSWORD="reader's own")  # noqa: S106
    assert done.exit_code == 0, done.output
    assert fake.is_set_up
    assert fake.settings == {"anon-tracking-enabled": False}
    assert len(fake.dashboards) == 2
    again = run(fake)
    assert again.exit_code == 0, again.output
    assert "Nothing to do" in again.stdout
    for secret in (PASSWORD, SESSION):
        assert secret not in plan.output + done.output + again.output


def test_command_without_identity_or_with_a_wrong_one(
    fake: FakeMetabase, run: Callable[..., Result]
) -> None:
    nobody = run(fake)
    assert nobody.exit_code == 1
    assert "METABASE_API_KEY" in nobody.stderr
    wrong = run(fake, METABASE_API_KEY="mb_of_somebody_else")
    assert wrong.exit_code == 1
    assert "does not accept the API key" in wrong.stderr
    assert "mb_of_somebody_else" not in wrong.output


def test_command_ends_with_1_where_something_was_refused(
    fake: FakeMetabase, run: Callable[..., Result]
) -> None:
    fake.refuse = {("PUT", r"/api/dashboard/\d+"): (403, "You don't have permissions to do that.")}
    result = run(fake, METABASE_API_KEY=API_KEY)
    assert result.exit_code == 1
    assert "refused 2 of them" in result.stderr
    assert "Dashboard 'Farm'" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_test_server_refuses_what_metabase_refuses(fake: FakeMetabase) -> None:
    """A check of the checks: the schemas are in force."""
    server = Metabase(fake.url)
    server.use_api_key(API_KEY)
    with pytest.raises(MetabaseError, match="'name' is a required property"):
        server.post("/api/collection", {"description": "x"})
    fake.databases[1] = {"id": 1, "name": "x", "details": {}}
    other_shape: Any = (
        {"type": "native", "database": 1, "native": {"query": "select 1"}}
        if fake.mbql5
        else {
            "lib/type": "mbql/query",
            "database": 1,
            "stages": [{"lib/type": "mbql.stage/native", "native": "select 1"}],
        }
    )
    card = {"name": "x", "display": "table", "visualization_settings": {}}
    with pytest.raises(MetabaseError, match="400"):
        server.post("/api/card", {**card, "dataset_query": other_shape})
