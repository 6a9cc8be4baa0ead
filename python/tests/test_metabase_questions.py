"""Every question of the dashboards, asked as Metabase asks it, of the demo farm's marts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from conftest import AS_OF, BuiltDemo, small_again
from metabase_server import API_KEY, FakeMetabase, serving
from psycopg import sql
from psycopg.rows import dict_row

from anchorline import settings
from anchorline.database import EmbeddedServer
from anchorline.metabase.asking import Chosen, as_asked
from anchorline.metabase.client import Metabase
from anchorline.metabase.compiled import CompiledQuestions, compiled_questions
from anchorline.metabase.dashboards import Card, Dashboard, Question
from anchorline.metabase.describe import KEYS as KEY_MARTS
from anchorline.metabase.describe import described
from anchorline.metabase.push import Connection, Push

KEYS = sorted(
    f"{file.parent.name}/{file.stem}"
    for file in (settings.project_folder() / "analyses" / "metabase").glob("*/*.sql")
)

DISPLAYS = {"area", "bar", "line", "row", "scalar", "scatter", "table"}


@pytest.fixture(scope="module")
def compiled(server: EmbeddedServer, small_demo: BuiltDemo) -> Iterator[CompiledQuestions]:
    """The questions, compiled for the small farm, for which the project is parsed already."""
    with small_again(server), pytest.MonkeyPatch.context() as patch:
        for name, value in small_demo.environment.items():
            patch.setenv(name, value)
        variables = {"as_of_date": AS_OF.isoformat()}
        with compiled_questions("prod", variables=variables) as found:
            yield found


@pytest.fixture(scope="module")
def questions(compiled: CompiledQuestions) -> dict[str, Question]:
    return {card.question.key: card.question for card in _cards(compiled.dashboards)}


@pytest.fixture(scope="module")
def connection(built_demo: BuiltDemo) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(built_demo.url) as found:
        found.read_only = True
        yield found


def _cards(dashboards: list[Dashboard]) -> list[Card]:
    return [card for dashboard in dashboards for card in dashboard.cards]


def _asked(
    connection: psycopg.Connection[Any],
    question: Question,
    chosen: Chosen,
    schema: str = "anchorline_marts",
) -> list[dict[str, Any]]:
    query = as_asked(question, schema, chosen)
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query.encode()).fetchall()


def _column_of(connection: psycopg.Connection[Any], table: str, column: str) -> list[Any]:
    """Return the values of a column that readers choose from, the most frequent ones first."""
    rows = connection.execute(
        sql.SQL(
            "select {column} from {table} where {column} is not null "
            "group by {column} order by count(*) desc, {column} limit 3"
        ).format(
            column=sql.Identifier(column),
            table=sql.Identifier("anchorline_marts", table),
        )
    ).fetchall()
    return [row[0] for row in rows]


def _choices(connection: psycopg.Connection[Any], question: Question) -> list[Chosen]:
    """Return each filter alone, and all together."""
    alone: dict[str, Any] = {}
    for item in question.filters:
        if item.type == "dates":
            alone[item.name] = (AS_OF - timedelta(days=400), AS_OF)
        elif item.type == "choice":
            alone[item.name] = item.values[-1]
        else:
            words = _column_of(connection, *question.fields[item.name])
            alone[item.name] = words if item.type == "any_of" else words[:1]
    return [{name: value} for name, value in alone.items()] + [alone]


@pytest.mark.parametrize("key", KEYS)
def test_question_has_rows(
    key: str, questions: dict[str, Question], connection: psycopg.Connection[Any]
) -> None:
    question = questions[key]
    rows = _asked(connection, question, {})
    assert rows or question.may_be_empty, "no rows on the demo farm, and its card says nothing"
    if question.display == "scalar":
        assert len(rows) == 1
        assert len(rows[0]) == 1


@pytest.mark.parametrize("key", KEYS)
def test_filters_leave_rows_out_and_bring_none_in(
    key: str, questions: dict[str, Question], connection: psycopg.Connection[Any]
) -> None:
    question = questions[key]
    for chosen in _choices(connection, question):
        _asked(connection, question, chosen)
    for item in question.filters:
        if item.type in ("one_of", "any_of"):
            rows = _asked(connection, question, {item.name: ["no such thing"]})
            counted = question.display == "scalar"
            # a container that is not there is the whole batch
            assert counted or not rows or item.name == "container", item.name
        elif item.type == "dates":
            future = (AS_OF + timedelta(days=4000), AS_OF + timedelta(days=4001))
            assert not _asked(connection, question, {item.name: future}), item.name


@pytest.mark.parametrize("key", KEYS)
def test_settings_name_columns_of_the_question(
    key: str, questions: dict[str, Question], connection: psycopg.Connection[Any]
) -> None:
    question = questions[key]
    assert question.display in DISPLAYS
    with connection.cursor() as cursor:
        cursor.execute(as_asked(question, "anchorline_marts", {}).encode())
        columns = {entry.name for entry in cursor.description or ()}
    connection.rollback()
    said = question.settings
    dimensions, metrics = said.get("graph.dimensions", []), said.get("graph.metrics", [])
    assert columns >= {*dimensions, *metrics, *said.get("series_settings", {})}
    if question.display not in ("table", "scalar"):
        assert dimensions
        assert metrics
        assert said.get("graph.y_axis.title_text") or question.display == "row"


def test_filters_are_on_columns_of_the_marts(
    questions: dict[str, Question], connection: psycopg.Connection[Any]
) -> None:
    known = {
        (table, column)
        for table, column in connection.execute(
            "select table_name, column_name from information_schema.columns "
            "where table_schema = 'anchorline_marts'"
        ).fetchall()
    }
    wanted = {field for question in questions.values() for field in question.fields.values()}
    assert wanted <= known


def test_cards_do_not_lie_on_each_other(compiled: CompiledQuestions) -> None:
    for dashboard in compiled.dashboards:
        for tab in dashboard.tabs:
            places = [
                (card.column + x, card.row + y)
                for card in tab.cards
                for x in range(card.width)
                for y in range(card.height)
            ]
            assert len(places) == len(set(places)), (dashboard.key, tab.title)


def test_exposures_name_the_dashboards_and_their_models(compiled: CompiledQuestions) -> None:
    exposed = {
        entry["name"]: set(entry["depends_on"]["nodes"])
        for entry in compiled.manifest["exposures"].values()
    }
    for dashboard in compiled.dashboards:
        read = {
            model
            for node in compiled.manifest["nodes"].values()
            if node["resource_type"] == "analysis"
            and Path(node["path"]).parts[1:3] == ("metabase", dashboard.key)
            for model in node["depends_on"]["nodes"]
        }
        assert exposed[f"metabase_{dashboard.key}"] == read


@pytest.mark.parametrize("mbql5", [True, False], ids=["MBQL 5", "MBQL 4"])
def test_all_of_it_is_pushed_and_the_second_time_nothing(
    compiled: CompiledQuestions, connection: psycopg.Connection[Any], mbql5: bool
) -> None:
    tables: dict[str, list[str]] = {}
    for table, column in connection.execute(
        "select table_name, column_name from information_schema.columns "
        "where table_schema = 'anchorline_marts' order by table_name, ordinal_position"
    ).fetchall():
        tables.setdefault(table, []).append(column)
    usual = {"host": "db", "port": 5432, "dbname": "farm", "user": "dashboards", "ssl": False}
    database = Connection("anchorline", compiled.schema, usual, password="p")  # noqa: S106
    with serving(FakeMetabase(tables, mbql5=mbql5)) as fake:
        server = Metabase(fake.url)
        server.use_api_key(API_KEY)
        first, second = (
            Push(
                server,
                compiled.dashboards,
                database,
                "Fish",
                is_applied=True,
                poll_seconds=0.01,
                tell=lambda _: None,
            )
            for _ in range(2)
        )
        first.run()
        assert not first.failures
        assert {change.action for change in first.changes} == {"create"}
        assert len(fake.cards) == len(KEYS)
        assert len(fake.dashboards) == len(compiled.dashboards)
        for dashboard in fake.dashboards.values():
            asked = {
                mapping["parameter_id"]
                for entry in dashboard["dashcards"]
                for mapping in entry["parameter_mappings"]
            }
            assert asked == {entry["id"] for entry in dashboard["parameters"]}
        fake.requests.clear()
        second.run()
        assert {change.action for change in second.changes} == {"nothing"}
        assert fake.writes == []


def test_the_marts_are_described(compiled: CompiledQuestions) -> None:
    wanted = described(compiled.manifest, compiled.schema)
    names = {node["name"] for node in wanted["nodes"].values()}
    assert {"growth_analysis", *KEY_MARTS.values()} <= names
    for node in wanted["nodes"].values():
        assert node["description"]
        assert all(column["description"] for column in node["columns"].values())
    # each mart that keys lead to has the key
    for column, mart in KEY_MARTS.items():
        node = wanted["nodes"][f"model.anchorline.{mart}"]
        assert node["columns"][column]["meta"]["metabase.semantic_type"] == "type/PK"


# -- what some of them say, against the marts ------------------------------------------------------


def _one(connection: psycopg.Connection[Any], query: str, *parameters: object) -> Any:
    row = connection.execute(query.encode(), parameters).fetchone()
    assert row is not None
    return row[0]


def test_weight_by_day_is_that_of_the_marts(
    questions: dict[str, Question], connection: psycopg.Connection[Any]
) -> None:
    batch = _one(
        connection,
        """
        select batch_number from anchorline_marts.growth_analysis
        where series = 'forecast' and container_id is null group by 1 order by count(*) desc limit 1
        """,
    )
    rows = _asked(
        connection, questions["growth_analysis/weight"], {"batch": [batch], "period": "day"}
    )
    series = {
        "Actual (g)": "actual",
        "In hindsight (g)": "smoothed",
        "Forecast (g)": "forecast",
        "Plan (g)": "scenario",
    }
    for column, name in series.items():
        shown = {row["Date"]: row[column] for row in rows if row[column] is not None}
        known = dict(
            connection.execute(
                """
                select analysis.state_date, analysis.avg_weight_g
                from anchorline_marts.growth_analysis as analysis
                inner join anchorline_marts.batches as batches using (batch_id)
                where
                    analysis.batch_number = %s
                    and series = %s
                    and analysis.container_id is null
                    and analysis.avg_weight_g is not null
                    and (series != 'scenario' or analysis.scenario_id = batches.scenario_id)
                """,
                (batch, name),
            ).fetchall()
        )
        assert shown == known, name
        assert shown or name == "scenario"


def test_a_week_shows_what_it_ends_with(
    questions: dict[str, Question], connection: psycopg.Connection[Any]
) -> None:
    number = questions["growth_analysis/number"]
    batch = _one(
        connection,
        "select batch_number from anchorline_marts.weekly_batch_states "
        "group by 1 order by count(*) desc, 1 limit 1",
    )
    shown = {
        row["Date"]: row["Actual (fish)"]
        for row in _asked(connection, number, {"batch": [batch]})
        if row["Actual (fish)"] is not None
    }
    weeks = connection.execute(
        "select week_start_date, population from anchorline_marts.weekly_batch_states "
        "where batch_number = %s",
        (batch,),
    ).fetchall()
    assert shown == dict(weeks)


def test_without_a_choice_there_is_one_batch_that_lives(
    questions: dict[str, Question], connection: psycopg.Connection[Any]
) -> None:
    (row,) = _asked(connection, questions["growth_analysis/against_the_plan"], {})
    oldest = _one(
        connection,
        """
        select batch_number from anchorline_marts.batches
        where batch_status = 'ACTIVE' and first_state_date is not null
        order by start_date, batch_id limit 1
        """,
    )
    (chosen,) = _asked(
        connection, questions["growth_analysis/against_the_plan"], {"batch": [oldest]}
    )
    assert row == chosen


def test_a_container_shows_its_own_fish(
    questions: dict[str, Question], connection: psycopg.Connection[Any]
) -> None:
    found = connection.execute(
        """
        select batch_number, container_name, state_date, avg_weight_g
        from anchorline_marts.daily_assignment_states
        where state_date = %s and population > 0
        order by assignment_id limit 1
        """,
        (AS_OF,),
    ).fetchone()
    assert found is not None
    batch, container, day, weight = found
    chosen: Chosen = {
        "batch": [batch],
        "container": [container],
        "dates": (day, day),
        "period": "day",
    }
    (row,) = _asked(connection, questions["growth_analysis/weight"], chosen)
    assert row["Date"] == day
    assert row["Actual (g)"] == weight
    (state,) = _asked(connection, questions["growth_analysis/the_day"], chosen)
    assert (state["Container"], state["Weight (g)"]) == (container, weight)


def test_overview_adds_up(
    questions: dict[str, Question], connection: psycopg.Connection[Any]
) -> None:
    (farm,) = _asked(connection, questions["farm_overview/fish_and_biomass"], {})
    batches = _asked(connection, questions["farm_overview/batches_now"], {})
    assert farm["Fish"] == sum(row["Fish"] for row in batches)
    assert farm["Batches"] == len(batches)
    assert farm["Day"] == AS_OF
    deaths = _asked(connection, questions["farm_overview/mortality_by_cause"], {})
    assert sum(row["Deaths"] for row in deaths) == _one(
        connection,
        "select sum(mortality_count) from anchorline_marts.production_figures "
        "where assignment_id is null and period_type = 'month'",
    )


def test_health_counts_what_the_monitoring_marts_hold(
    questions: dict[str, Question], connection: psycopg.Connection[Any]
) -> None:
    by_reason = _asked(connection, questions["data_health/rejected_by_reason"], {})
    records = _asked(connection, questions["data_health/rejected"], {})
    assert sum(row["Records"] for row in by_reason) == len(records) > 0
    suspects = _asked(connection, questions["data_health/suspect_anchors"], {})
    assert len(suspects) == _one(
        connection, "select count(*) from anchorline_marts.weight_anchors where is_suspect"
    )
