"""What the marts say of the demo farm, and what happens to them when a build fails."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from conftest import AS_OF, BuiltDemo
from psycopg import sql

from anchorline.raw.schema import create_raw_tables
from anchorline.raw.sources import read_sources
from devtools.compiled_models import Dbt

VARIABLES = {"as_of_date": AS_OF.isoformat()}

DbtOn = Callable[[str], Dbt]

LISTED_BESIDE_THE_BAD_ROWS = {"departure_day_feed", "transfer_missing_as_mortality"}
"""Cases that are no mistakes of the trouble batch, and are listed as rejected all the same."""


def test_every_bad_record_is_listed_and_no_other(built_demo: BuiltDemo) -> None:
    with psycopg.connect(built_demo.url) as connection:
        listed = set(
            connection.execute(
                "select table_name, record_id from anchorline_marts.rejected_records"
            )
        )
        cases = connection.execute(
            "select case_name, table_name, record_id from demo_truth.cases"
        ).fetchall()
        # transfer mortality on a source whose fish also went elsewhere without a record
        inferred_sources = set(
            connection.execute(
                "select 'batch_transferaction', transfer_action_id "
                "from anchorline_staging.stg_transfer_actions where source_assignment_id in "
                "(select source_assignment_id from anchorline_intermediate.int_inferred_transfers)"
            )
        )
    # what lies in the future of the farm's last day is unused, and only listed once it is today's
    bad = {(t, i) for name, t, i in cases if name.startswith("bad_") and "future" not in name}
    tolerated = {(t, i) for name, t, i in cases if name in LISTED_BESIDE_THE_BAD_ROWS}
    future = {(t, i) for name, t, i in cases if name.startswith("bad_") and "future" in name}
    assert len(bad) > 20
    assert bad - listed == set()
    assert listed - bad - tolerated - inferred_sources - future == set()


def test_numbers_follow_the_truth_where_everything_is_recorded(built_demo: BuiltDemo) -> None:
    with psycopg.connect(built_demo.url) as connection:
        rows = connection.execute(
            """
            select
                count(*),
                avg(abs(states.avg_weight_g / truth.weight_g - 1)),
                avg(abs(states.population - truth.population) / nullif(truth.population, 0)::float)
            from anchorline_marts.daily_assignment_states as states
            inner join demo_truth.daily_states as truth using (assignment_id, state_date)
            where
                states.assignment_id in (
                    select assignment_id from anchorline_marts.daily_assignment_states
                    where anchor_type is not null
                )
                and states.batch_number not like 'TROUBLE%'
            """
        ).fetchone()
    assert rows is not None
    count, weight_error, number_error = rows
    assert count > 24_000
    assert weight_error < 0.10
    assert number_error < 0.01


def test_planned_activities_kept_to_their_days_as_the_farm_did(built_demo: BuiltDemo) -> None:
    with psycopg.connect(built_demo.url) as connection:
        shown = connection.execute(
            """
            select distinct
                cases.case_name,
                activities.timeliness,
                activities.container_name is null
            from demo_truth.cases
            inner join anchorline_marts.planned_activity_variance as activities
                on cases.record_id = activities.planned_activity_id
            where
                cases.case_name in (
                    'activity_early', 'activity_late', 'activity_overdue', 'activity_cancelled',
                    'activity_of_container'
                )
            """
        ).fetchall()
    assert set(shown) == {
        ("activity_early", "early", True),
        ("activity_late", "late", True),
        ("activity_overdue", "overdue", True),
        ("activity_cancelled", "cancelled", True),
        ("activity_of_container", "on_time", False),
        ("activity_of_container", "open", False),
    }


def test_docs_describe_every_model_and_column(
    built_demo: BuiltDemo, dbt_on: DbtOn, tmp_path: Path
) -> None:
    dbt_on(built_demo.url).run("docs generate", tmp_path, variables=VARIABLES, with_json=True)
    manifest = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    catalog = json.loads((tmp_path / "catalog.json").read_text(encoding="utf-8"))
    nodes = {**manifest["nodes"], **manifest["sources"]}
    undescribed = []
    for kind in ("nodes", "sources"):
        for unique_id, relation in catalog[kind].items():
            node = nodes[unique_id]
            if not node["description"].strip():
                undescribed.append(unique_id)
            described = {n for n, c in node["columns"].items() if c["description"].strip()}
            if kind == "nodes":  # a raw table has columns that no model reads
                undescribed += [
                    f"{unique_id}.{column}"
                    for column in relation["columns"]
                    if column not in described
                ]
    models = [n for n in manifest["nodes"].values() if n["resource_type"] == "model"]
    assert len(models) > 80
    assert {m["unique_id"] for m in models} <= set(catalog["nodes"])
    assert undescribed == []


WITHOUT_A_KEY = {
    "int_active_days",
    "int_daily_measures",
    "int_production_periods",
    "int_rejected_deaths",
    "actual_daily_assignment_states",
    "rejected_records",
    "stg_calibrated_tgc",
    "stg_environmental_readings",
}
"""Models whose rows nobody looks up by a key, or have that of the model they are made of."""


def test_every_key_is_kept_by_a_unique_index_or_a_test(built_demo: BuiltDemo) -> None:
    manifest = json.loads((built_demo.target_folder / "manifest.json").read_text("utf-8"))
    nodes = manifest["nodes"].values()
    tested = {
        node["attached_node"].split(".")[-1]
        for node in nodes
        if node.get("attached_node")
        and node["config"]["severity"] == "ERROR"
        and node["test_metadata"]["kwargs"].get("unique")
    }
    without = {
        node["name"]
        for node in nodes
        if node["resource_type"] in ("model", "seed", "snapshot")
        and not any(index.get("unique") for index in node["config"].get("indexes") or ())
    }
    assert without - tested == WITHOUT_A_KEY


@pytest.mark.parametrize(
    ("spoiling", "failed"),
    [
        ("update {} set weight_confidence = null", "weight_confidence is null"),
        ("update {} set weight_confidence = 2", "not weight_confidence between 0 and 1"),
        ("update {} set anchor_type = 'guess'", "not anchor_type in ('growth_sample', "),
        ("update {} set assignment_id = -assignment_id", "assignment_id not in int_assignments"),
        ("insert into {} select * from {}", "assignment_id, anchor_date not unique"),
    ],
)
def test_a_failed_row_says_what_does_not_hold(
    built_demo: BuiltDemo, spoiling: str, failed: str
) -> None:
    results = json.loads((built_demo.target_folder / "run_results.json").read_text("utf-8"))
    (query,) = (
        result["compiled_code"]
        for result in results["results"]
        if ".rows_of_int_anchors." in result["unique_id"]
    )
    with psycopg.connect(built_demo.url) as connection:
        assert connection.execute(query).fetchall() == []
        connection.execute(spoiling.replace("{}", "anchorline_intermediate.int_anchors").encode())
        found = connection.execute(query).fetchall()
        connection.rollback()
    assert found
    assert all(rules[0].startswith(failed) and row for rules, row in found)


@pytest.fixture(scope="module")
def build(
    small_demo: BuiltDemo, dbt_on: DbtOn, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., None]:
    """Build and test what is in the database of the small farm at the time."""
    dbt = dbt_on(small_demo.url)
    folder = tmp_path_factory.mktemp("artifacts")

    def build(*arguments: str, **variables: str) -> None:
        dbt.run(
            "build",
            folder,
            *("--exclude-resource-types", "unit_test", *arguments),
            variables=VARIABLES | variables,
        )

    return build


def _fingerprint(url: str) -> list[tuple[object, ...]]:
    """Which table each mart of states is, and how many rows it has."""
    with psycopg.connect(url) as connection:
        return connection.execute(
            """
            select relname, relfilenode, reltuples from pg_class
            where
                relnamespace = 'anchorline_marts'::regnamespace and relkind = 'r'
                and (relname ~ '^(daily|weekly)' or relname = 'weight_anchors')
            order by 1
            """
        ).fetchall()


def test_two_rows_for_one_key_stop_the_build_before_anything_is_replaced(
    small_copy: BuiltDemo, build: Callable[..., None]
) -> None:
    with psycopg.connect(small_copy.url) as connection:
        connection.execute(
            "alter table batch_growthsample drop constraint batch_growthsample_pkey cascade"
        )
        connection.execute(
            "insert into batch_growthsample select * from batch_growthsample order by id limit 1"
        )
    before = _fingerprint(small_copy.url)
    with pytest.raises(RuntimeError, match="batch_growthsample"):
        build()
    assert _fingerprint(small_copy.url) == before


def test_no_mart_is_replaced_when_a_test_upstream_fails(
    small_copy: BuiltDemo, build: Callable[..., None]
) -> None:
    """A weight that jumps by more than 30 % a day fails a test between the engine and the marts."""
    with psycopg.connect(small_copy.url) as connection:
        connection.execute("update scenario_tgc_model_stage set tgc_value = 6 where tgc_value > 0")
        connection.execute(
            "update environmental_environmentalreading set value = 29 "
            "where reading_time < (select min(start_date) + 200 from batch_batch)"
        )
    before = _fingerprint(small_copy.url)
    with pytest.raises(RuntimeError, match="assert_weight_jumps_only_at_anchors_and_arrivals"):
        build()
    after = _fingerprint(small_copy.url)
    assert after == before


def test_an_empty_farm_has_empty_marts(small_empty: BuiltDemo, build: Callable[..., None]) -> None:
    with psycopg.connect(small_empty.url) as connection:
        create_raw_tables(connection, "public")
    build()
    with psycopg.connect(small_empty.url) as connection:
        count = connection.execute(
            "select count(*) from anchorline_marts.daily_assignment_states"
        ).fetchone()
    assert count == (0,)


def test_an_older_instance_builds(small_copy: BuiltDemo, build: Callable[..., None]) -> None:
    """Without the columns that newer instances have, and without any optional table."""

    url = small_copy.url
    with psycopg.connect(url) as connection:
        for name in ("anchorline_marts", "anchorline_intermediate", "anchorline_staging"):
            connection.execute(sql.SQL("drop schema {} cascade").format(sql.Identifier(name)))
        for table in read_sources().values():
            named = sql.Identifier(table.name)
            if table.is_optional:
                connection.execute(sql.SQL("drop table if exists {} cascade").format(named))
                continue
            for column in table.columns:
                if column.is_optional:
                    connection.execute(
                        sql.SQL("alter table {} drop column if exists {} cascade").format(
                            named, sql.Identifier(column.name)
                        )
                    )
    build()
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "select count(*), count(*) filter (where anchor_type = 'transfer') "
            "from anchorline_marts.daily_assignment_states"
        ).fetchone()
    assert row is not None
    states, transfer_anchors = row
    assert states > 10_000
    assert transfer_anchors == 0


def test_power_law_refuses_coefficients_of_the_cube_root_form(
    small_copy: BuiltDemo, build: Callable[..., None]
) -> None:
    url = small_copy.url
    before = _fingerprint(url)
    with pytest.raises(RuntimeError) as raised:
        build(growth_formula="power_law")
    said = str(raised.value)
    assert "growth_formula is power_law, but these coefficients were not fitted" in said
    assert "grows a 1 kg fish at 10 °C by" in said
    assert _fingerprint(url) == before

    with psycopg.connect(url) as connection:
        connection.execute(
            "update scenario_tgcmodel set tgc_value = 0.0081, exponent_n = 1, exponent_m = 0.6667"
        )
        connection.execute("delete from scenario_tgc_model_stage")
    build(
        *("--exclude-resource-types", "test", "--select", "+daily_assignment_states"),
        growth_formula="power_law",
    )
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "select count(*) from anchorline_marts.daily_assignment_states "
            "where weight_source = 'tgc_computed'"
        ).fetchone()
    assert row is not None
    assert row[0] > 10_000


def test_the_operational_view_outlives_a_swap_of_its_table(
    small_copy: BuiltDemo, build: Callable[..., None]
) -> None:
    """Also where the run ends before the view's own model, and to whoever reads it meanwhile.

    A swap waits for another one, and, for a view that somebody is about to read, before it takes
    the table that he needs next: else each would wait for the other.
    """
    view = sql.Identifier("anchorline_marts", "actual_daily_assignment_states")
    count = sql.SQL("select count(*), sum(population) from {}").format(view)
    with (
        psycopg.connect(small_copy.url) as swapping,
        psycopg.connect(small_copy.url) as reading,
        psycopg.connect(small_copy.url, autocommit=True) as connection,
        ThreadPoolExecutor() as threads,
    ):
        before = connection.execute(count).fetchone()
        assert before is not None
        swapping.execute("select pg_advisory_xact_lock(hashtext('anchorline swap'), 0)")
        # what a query holds before it takes the table
        reading.execute(sql.SQL("alter view {} owner to current_user").format(view))
        building = threads.submit(build, "--full-refresh", "-s", "daily_assignment_states")

        _wait_for_lock(connection, "advisory", building)
        swapping.rollback()
        _wait_for_lock(connection, "relation", building)
        read = reading.execute("select count(*) from anchorline_marts.daily_assignment_states")
        assert read.fetchone() == before[:1]
        reading.rollback()

        building.result()
        assert connection.execute(count).fetchone() == before


def _wait_for_lock(connection: psycopg.Connection, kind: str, building: Future[None]) -> None:
    """Wait until dbt waits for a lock of this kind."""
    waiting = "select count(*) from pg_locks where not granted and locktype = %s"
    while connection.execute(waiting, (kind,)).fetchone() == (0,):
        assert not building.done(), f"the build waited for no lock of the kind {kind}"
        time.sleep(0.1)
