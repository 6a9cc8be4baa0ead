"""The expectation suites: their files, what each must see, and the command that runs them."""

# ruff: noqa: S608
# The SQL that spoils a copy is put together from constants of this file.

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result
from conftest import AS_OF, BuiltDemo
from psycopg import sql

from anchorline.cli import main
from anchorline.cli.validate import validate as validate_command
from anchorline.expectations.names import Catalogue, Names, for_target
from anchorline.expectations.outcomes import BROKEN, FAILED, PASSED, SKIPPED, Outcome
from anchorline.expectations.suites import (
    QUERY_TYPE,
    SUITES,
    Expectation,
    Relation,
    read_suite,
    suite_in_form,
    suite_text,
)
from anchorline.expectations.validation import validate
from anchorline.raw.sources import project_variable, read_sources

AS_OF_TEXT = AS_OF.isoformat()

DAYS = "anchorline_marts.daily_assignment_states"
ANCHORS = "anchorline_marts.weight_anchors"
RECONCILED = "anchorline_marts.population_reconciliation"


def one(table: str, condition: str = "true", order: str = "1") -> str:
    """Pick one row of a table, for an update or delete."""
    return f"ctid = (select ctid from {table} where {condition} order by {order} limit 1)"


def change(table: str, change: str, condition: str = "true", order: str = "ctid") -> str:
    return f"update {table} set {change} where {one(table, condition, order)}"


def drop(table: str, condition: str = "true", order: str = "ctid") -> str:
    return f"delete from {table} where {one(table, condition, order)}"


AFTER_ANCHOR = (
    "anchor_type is null and arrived_count = 0 and (assignment_id, state_date - 1) in "
    f"(select assignment_id, state_date from {DAYS} where anchor_type is not null)"
)
FAR_FROM_ANCHORS = (
    "anchor_type is null and arrived_count = 0 and avg_weight_g > 5 "
    "and (assignment_id, state_date - 1) in "
    f"(select assignment_id, state_date from {DAYS} where anchor_type is null)"
)
SELECTED = (
    "anchor_type = 'transfer' and record_id in (select transfer_action_id "
    "from anchorline_intermediate.int_transfer_actions_checked where selection_method <> 'AVERAGE')"
)
SMOOTHED = {
    "assignment": "smoothed_band_of_an_assignment_holds_its_weight",
    "batch": "smoothed_band_of_a_batch_holds_its_weight",
}

# What spoils the marts, and which expectation must see it.
CORRUPTIONS: list[tuple[str, str]] = [
    (
        "anchor_day_carries_the_anchors_weight",
        change(DAYS, "avg_weight_g = avg_weight_g + 0.0002", "anchor_type = 'growth_sample'"),
    ),
    (
        "anchor_day_carries_the_anchors_weight",
        change(DAYS, "weight_source = 'tgc_computed', anchor_type = null", "anchor_type <> ''"),
    ),
    (
        "anchor_day_carries_the_anchors_weight",
        change(DAYS, "anchor_type = 'manual'", "anchor_type is null"),
    ),
    (
        "anchor_day_carries_the_anchors_weight",
        change(DAYS, "weight_confidence = 0.5", "anchor_type = 'transfer'"),
    ),
    ("anchor_on_an_active_day_finds_its_state", drop(DAYS, "anchor_type is not null")),
    (
        "anchor_on_an_active_day_finds_its_state",
        change(ANCHORS, "anchor_date = anchor_date + 5000", "anchor_status = 'used'"),
    ),
    (
        "anchor_precedence_is_kept",
        change(ANCHORS, "anchor_status = 'used', is_used = true", "anchor_status = 'superseded'"),
    ),
    (
        "anchor_precedence_is_kept",
        change(ANCHORS, "anchor_status = 'superseded', is_used = false", "anchor_status = 'used'"),
    ),
    (
        "anchor_precedence_is_kept",
        "insert into anchorline_ops.anchor_exclusions "
        "(anchor_type, record_id, reason, excluded_by, excluded_at) "
        f"select anchor_type, record_id, 'spoilt', 'test', '2020-01-01' from {ANCHORS} "
        "where anchor_status = 'used' limit 1",
    ),
    ("every_measurement_is_an_anchor_or_rejected", drop(ANCHORS, "anchor_type = 'growth_sample'")),
    (
        "every_measurement_is_an_anchor_or_rejected",
        change(ANCHORS, "weight_g = weight_g * 1.01", "anchor_type = 'vaccination'"),
    ),
    (
        "every_measurement_is_an_anchor_or_rejected",
        "delete from anchorline_marts.rejected_records where table_name = 'batch_growthsample'",
    ),
    ("selected_transfers_conserve_mass", change(ANCHORS, "weight_g = weight_g * 1.001", SELECTED)),
    (
        "selected_transfers_conserve_mass",
        change(ANCHORS, "weight_g = weight_g + 0.01", "anchor_type = 'transfer'"),
    ),
    (
        "weight_after_an_anchor_follows_from_it",
        change(DAYS, "avg_weight_g = avg_weight_g * 1.002", AFTER_ANCHOR),
    ),
    (
        "weight_follows_from_the_day_before",
        change(DAYS, "avg_weight_g = avg_weight_g * 1.002", FAR_FROM_ANCHORS),
    ),
    (
        "weight_follows_from_the_day_before",
        change(
            "anchorline_intermediate.int_growth_inputs",
            "temp_c = temp_c + 1",
            "temp_c > 0 and (assignment_id, state_date) in "
            f"(select assignment_id, state_date from {DAYS} where {FAR_FROM_ANCHORS})",
        ),
    ),
    (
        "arriving_fish_mix_by_number",
        change(
            DAYS, "avg_weight_g = avg_weight_g * 1.002", "arrived_count > 0 and anchor_type is null"
        ),
    ),
    (
        "arriving_fish_mix_by_number",
        change(DAYS, "arrived_count = arrived_count + 1", "arrived_count > 0"),
    ),
    (
        "arriving_fish_mix_by_number",
        change(
            "anchorline_intermediate.int_movements",
            "weight_g = 9999",
            "movement_type = 'transfer' and (to_assignment_id, arrived_date) in "
            f"(select assignment_id, state_date from {DAYS} where anchor_type is null)",
        ),
    ),
    ("every_day_adds_up_in_whole_fish", change(DAYS, "population = population + 1")),
    (
        "every_day_adds_up_in_whole_fish",
        change(
            DAYS, "count_adjustment = count_adjustment + 1, mortality_count = mortality_count + 1"
        ),
    ),
    (
        "lineage_balance_closes",
        change(RECONCILED, "stocked_count = stocked_count + 1", "stocked_count > 0"),
    ),
    (
        "lineage_balance_closes",
        drop("anchorline_intermediate.int_movements", "movement_type = 'harvest'"),
    ),
    (
        "lineage_balance_closes",
        change(DAYS, "mortality_count = mortality_count + 1", "population > 0"),
    ),
    (
        "lineage_balance_closes",
        change(
            "anchorline_marts.batches",
            "lineage_id = null",
            f"batch_id in (select batch_id from {DAYS})",
        ),
    ),
    (
        "reconciliation_adds_up_to_the_days",
        change(RECONCILED, "departed_count = departed_count + 1", "departed_count > 0"),
    ),
    (
        "reconciliation_adds_up_to_the_days",
        change(RECONCILED, "departure_left_count = departure_left_count + 1", "is_finished"),
    ),
    ("every_active_day_has_exactly_one_state", drop(DAYS)),
    (
        "every_active_day_has_exactly_one_state",
        f"delete from {DAYS} where assignment_id = (select min(assignment_id) from {DAYS})",
    ),
    ("every_assignment_is_reconciled_or_rejected", drop(RECONCILED)),
    (
        "every_assignment_is_reconciled_or_rejected",
        "delete from anchorline_marts.rejected_records "
        "where table_name = 'batch_batchcontainerassignment'",
    ),
    ("numbers_lie_within_their_ranges", change(DAYS, "temp_c = 40")),
    ("numbers_lie_within_their_ranges", change(DAYS, "avg_weight_g = 0")),
    ("numbers_lie_within_their_ranges", change(DAYS, "feed_kg = -1")),
    ("numbers_lie_within_their_ranges", change(DAYS, "observed_fcr = 11")),
    ("biomass_is_number_times_weight", change(DAYS, "biomass_kg = biomass_kg + 50")),
    (
        "fcr_is_feed_over_gain",
        change(DAYS, "observed_fcr = observed_fcr + 0.5", "observed_fcr < 5"),
    ),
    ("fcr_is_feed_over_gain", change(DAYS, "observed_fcr = null", "observed_fcr < 5")),
    ("confidence_lies_between_0_and_1", change(DAYS, "temp_confidence = 1.01")),
    ("confidence_lies_between_0_and_1", change(DAYS, "fcr_confidence = null")),
    (
        "confidence_follows_from_its_source",
        change(DAYS, "weight_confidence = 0.61", "weight_source = 'tgc_computed'"),
    ),
    (
        "confidence_follows_from_its_source",
        change(DAYS, "mortality_confidence = 0.9", "mortality_source = 'actual'"),
    ),
    ("sources_come_from_their_lists", change(DAYS, "temp_source = 'guessed'")),
    ("sources_come_from_their_lists", change(DAYS, "feed_kg = null", "feed_kg > 0")),
    ("sources_come_from_their_lists", change(DAYS, "scenario_id = null", "scenario_id > 0")),
    (
        "stage_moves_on_when_its_weight_is_reached",
        change(
            DAYS,
            "lifecycle_stage_id = lifecycle_stage_id - 1",
            "lifecycle_stage_id in (select next_lifecycle_stage_id "
            "from anchorline_intermediate.int_growth_parameters)",
        ),
    ),
    (
        "batch_day_is_the_sum_of_its_assignments",
        change("anchorline_marts.daily_batch_states", "biomass_kg = biomass_kg + 10"),
    ),
    (
        "batch_day_is_the_sum_of_its_assignments",
        change("anchorline_marts.daily_batch_states", "mortality_count = mortality_count + 1"),
    ),
    ("batch_day_is_the_sum_of_its_assignments", drop("anchorline_marts.daily_batch_states")),
    (
        "batch_day_adds_up_in_whole_fish",
        change("anchorline_marts.daily_batch_states", "departed_count = departed_count + 1"),
    ),
    (
        "assignment_week_is_the_sum_of_its_days",
        change("anchorline_marts.weekly_assignment_states", "gain_kg = gain_kg + 1"),
    ),
    (
        "assignment_week_is_the_sum_of_its_days",
        change("anchorline_marts.weekly_assignment_states", "iso_week = iso_week + 1"),
    ),
    (
        "batch_week_is_the_sum_of_its_days",
        change("anchorline_marts.weekly_batch_states", "days_covered = days_covered + 1"),
    ),
    (
        "batch_week_is_the_sum_of_its_days",
        change("anchorline_marts.weekly_batch_states", "population = population + 1"),
    ),
    (
        SMOOTHED["assignment"],
        change("anchorline_marts.daily_assignment_smoothed", "smoothed_weight_low_g = 99999"),
    ),
    (
        SMOOTHED["batch"],
        change("anchorline_marts.daily_batch_smoothed", "smoothed_weight_high_g = null"),
    ),
]


def expectations(suite: str) -> dict[str, Expectation]:
    return {expectation.id: expectation for expectation in read_suite(suite).expectations}


def failing(
    connection: psycopg.Connection[Any], names: Names, expectation: Expectation
) -> list[tuple[Any, ...]]:
    query = names.query(expectation)
    assert query is not None
    return connection.execute(query.encode()).fetchall()


@pytest.fixture(scope="module")
def copy_url(built_demo: BuiltDemo, copy_database: Callable[[str], str]) -> str:
    """A copy of the built demo with a smoothed series, which is not built yet."""
    url = copy_database(built_demo.url)
    with psycopg.connect(url) as connection:
        for level in SMOOTHED:
            connection.execute(
                sql.SQL(
                    "create table anchorline_marts.{} as select {}, state_date, "
                    "avg_weight_g as smoothed_weight_g, "
                    "avg_weight_g * 0.9 as smoothed_weight_low_g, "
                    "avg_weight_g * 1.1 as smoothed_weight_high_g from anchorline_marts.{}"
                ).format(
                    sql.Identifier(f"daily_{level}_smoothed"),
                    sql.Identifier(f"{level}_id"),
                    sql.Identifier(f"daily_{level}_states"),
                )
            )
    return url


@pytest.fixture
def spoilable(copy_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to the copy whose changes are taken back."""
    with psycopg.connect(copy_url) as connection:
        yield connection
        connection.rollback()


@pytest.fixture(scope="module")
def names(copy_url: str) -> Names:
    with psycopg.connect(copy_url) as connection:
        return for_target("prod", connection, as_of=AS_OF)


# -- the files ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SUITES)
def test_suite_file_is_in_its_one_form(name: str) -> None:
    text = suite_text(name)
    content = json.loads(text)
    assert suite_in_form(content) == text
    ids = [block["id"] for block in content["expectations"]]
    assert len(ids) == len(set(ids))
    severity = {"raw": "warning", "marts": "critical"}[name]
    assert {block["severity"] for block in content["expectations"]} == {severity}
    for block in content["expectations"]:
        assert block["description"].endswith(".")


@pytest.mark.parametrize("name", SUITES)
def test_suites_name_no_schema_and_only_known_vars(name: str) -> None:
    text = suite_text(name)
    assert not re.search(
        r"\b(public|anchorline_\w+)\.\w", text.replace("anchorline_ops.manual", "")
    )
    for variable in set(re.findall(r"\{var:(\w+)\}", text)):
        assert project_variable(variable, ""), variable
    for expectation in read_suite(name).expectations:
        if expectation.type == QUERY_TYPE:
            assert expectation.rows_tried is not None, expectation.id


def test_shapes_are_those_that_the_models_declare() -> None:
    shapes = {e.relation.name: e for id_, e in expectations("raw").items() if id_.endswith("shape")}
    sources = read_sources()
    assert set(shapes) == set(sources)
    for table, expectation in shapes.items():
        assert set(expectation.kwargs["column_set"]) == sources[table].required_columns
        assert expectation.is_optional == sources[table].is_optional


def test_optional_columns_are_named_where_they_are_read() -> None:
    for expectation in read_suite("raw").expectations:
        text = f"{expectation.query} {expectation.rows_tried}"
        needed = {column for _, column in expectation.needs}
        for column in read_sources()[expectation.relation.name].columns:
            if column.is_optional and re.search(rf"\brecords\.{column.name}\b", text):
                assert column.name in needed, expectation.id


def test_placeholders_become_quoted_names_and_literals() -> None:
    names = Names({"raw": 'O\'Brien "A" {b}', "marts": "m"}, AS_OF, {"farm": "it's"})
    rendered = names.render("{raw}.t {var:farm} {as_of} {other} '{3}'")
    assert rendered == (
        f"\"O'Brien \"\"A\"\" {{b}}\".t 'it''s' '{AS_OF_TEXT}'::date {{other}} '{{3}}'"
    )


# -- what each expectation must see ---------------------------------------------------------


def test_every_marts_expectation_has_a_corruption() -> None:
    assert {id_ for id_, _ in CORRUPTIONS} == set(expectations("marts"))


def test_marts_as_built_hold_what_they_promise(
    spoilable: psycopg.Connection[Any], names: Names
) -> None:
    for expectation in read_suite("marts").expectations:
        assert failing(spoilable, names, expectation) == [], expectation.id


@pytest.mark.parametrize(("expectation_id", "corruption"), CORRUPTIONS)
def test_expectation_sees_its_corruption(
    spoilable: psycopg.Connection[Any], names: Names, expectation_id: str, corruption: str
) -> None:
    changed = spoilable.execute(corruption.encode()).rowcount
    assert changed > 0, "the demo farm has no such row"
    assert failing(spoilable, names, expectations("marts")[expectation_id])


@pytest.mark.parametrize(
    ("expectation_id", "corruption"),
    [
        ("batch_growthsample.values", "update batch_growthsample set sample_size = 0"),
        (
            "batch_growthsample.jumps",
            "update batch_growthsample set avg_weight_g = 1 where id % 2 = 0",
        ),
        ("batch_growthsample.references", "update batch_growthsample set assignment_id = -1"),
        (
            "batch_growthsample.freshness",
            "delete from batch_growthsample",
        ),
        (
            "batch_mortalityevent.freshness",
            "update batch_mortalityevent set event_date = '2020-01-01'",
        ),
        (
            "environmental_environmentalreading.freshness",
            "delete from environmental_environmentalreading where reading_time > '2025-09-01'",
        ),
        (
            "environmental_environmentalreading.values",
            "update environmental_environmentalreading set value = 99 "
            "where reading_time > '2025-09-20'",
        ),
        (
            "inventory_feedingevent.freshness",
            "delete from inventory_feedingevent where feeding_date > '2025-09-01'",
        ),
        (
            "scenario_tgc_model_stage.values",
            "update scenario_tgc_model_stage set lifecycle_stage = 'x' || id",
        ),
        ("batch_batch.values", "update batch_batch set actual_end_date = start_date - 1"),
    ],
)
def test_raw_expectation_sees_its_corruption(
    spoilable: psycopg.Connection[Any], names: Names, expectation_id: str, corruption: str
) -> None:
    expectation = expectations("raw")[expectation_id]
    before = failing(spoilable, names, expectation)
    spoilable.execute(corruption.encode())
    after = failing(spoilable, names, expectation)
    assert after
    assert after != before


def test_raw_expectations_run_on_an_older_instance(
    spoilable: psycopg.Connection[Any], names: Names
) -> None:
    """Without the optional tables and columns some are skipped, and no other breaks."""
    for table in read_sources().values():
        named = sql.Identifier(table.name)
        if table.is_optional:
            spoilable.execute(sql.SQL("drop table if exists {} cascade").format(named))
            continue
        for column in table.columns:
            if column.is_optional:
                spoilable.execute(
                    sql.SQL("alter table {} drop column if exists {} cascade").format(
                        named, sql.Identifier(column.name)
                    )
                )
    catalogue = Catalogue(spoilable, names)
    skipped = 0
    for expectation in read_suite("raw").expectations:
        reason = catalogue.missing(expectation)
        if reason is not None:
            assert expectation.is_optional or expectation.needs, expectation.id
            skipped += 1
        elif expectation.type == QUERY_TYPE:
            failing(spoilable, names, expectation)
            spoilable.execute(names.render(expectation.rows_tried or "").encode())
    assert 10 < skipped < 40


# -- the command ----------------------------------------------------------------------------


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["validate", "--target", "prod", *arguments])


def by_id(outcomes: list[Outcome]) -> dict[str, Outcome]:
    return {outcome.id: outcome for outcome in outcomes}


def test_the_command_itself_does_not_import_great_expectations() -> None:
    assert validate_command.name == "validate"
    script = (
        "import sys, anchorline.cli.validate\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('great_expectations', 'sqlalchemy')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_built_farm_validates(
    built_demo: BuiltDemo, use_database: Callable[[str], None], tmp_path: Path
) -> None:
    use_database(built_demo.url)
    shown = run("--as-of", AS_OF_TEXT, "--out", str(tmp_path / "docs"))
    assert shown.exit_code == 0, shown.output
    # what the demo farm has spoilt on purpose is a warning
    assert "warning   batch_growthsample.values" in shown.stdout
    assert "batch TROUBLE-001, assignment" in shown.stdout
    assert re.search(r"ok +weight_follows_from_the_day_before +\d\d,\d{3}", shown.stdout)
    assert "not evaluated" not in shown.stdout
    assert "skipped smoothed_band_of_a_batch_holds_its_weight: there is no table" in shown.stdout
    page = (tmp_path / "docs" / "index.html").read_text("utf-8")
    assert "marts.daily_assignment_states" in page


def test_great_expectations_sees_every_corruption(
    copy_url: str,
    copy_database: Callable[[str], str],
    use_database: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    url = copy_database(copy_url)
    seen = set()
    with psycopg.connect(url) as connection:
        for id_, corruption in CORRUPTIONS:
            if id_ not in seen:
                connection.execute(corruption.encode())
                seen.add(id_)
        # a column that is gone: its SQL fails, and that is no pass
        connection.execute(
            "alter table anchorline_marts.weekly_batch_states rename column gain_kg to gain"
        )
    use_database(url)
    found = validate("prod", ("marts",), docs_folder=tmp_path)
    outcomes = by_id(found.outcomes)
    broken = outcomes.pop("batch_week_is_the_sum_of_its_days")
    assert broken.status == BROKEN
    assert broken.is_error
    assert "gain_kg does not exist" in str(broken.reason)
    assert {outcome.status for outcome in outcomes.values()} == {FAILED}
    for outcome in outcomes.values():
        assert outcome.rows_failed > 0
        assert outcome.rows_tried is not None
        assert 0 < len(outcome.examples) <= 3
        assert {"batch", "assignment_id", "date"} <= set(outcome.examples[0])
    monkeypatch.setattr("anchorline.cli.validate.run_suites", lambda *_, **__: found)
    shown = run("--suite", "marts")
    assert shown.exit_code == 1
    assert "error   every_day_adds_up_in_whole_fish" in shown.stdout
    assert "batch_week_is_the_sum_of_its_days could not be evaluated" in shown.stdout


def test_names_that_need_quotes_are_safe(
    built_demo: BuiltDemo,
    copy_database: Callable[[str], str],
    use_database: Callable[[str], None],
    tmp_path: Path,
) -> None:
    schema = 'O\'Brien :a "B" {c} %s 100%'
    url = copy_database(built_demo.url)
    with psycopg.connect(url) as connection:
        connection.execute(
            sql.SQL("alter schema public rename to {}").format(sql.Identifier(schema))
        )
    use_database(url)
    found = validate(
        "prod", ("raw",), docs_folder=tmp_path, as_of=AS_OF, variables={"raw_schema": schema}
    )
    assert {o.status for o in found.outcomes} <= {PASSED, FAILED, SKIPPED}
    assert by_id(found.outcomes)["batch_growthsample.shape"].status == PASSED
    assert not found.errors
    # a table that must be there and is not
    with psycopg.connect(url) as connection:
        connection.execute(
            sql.SQL("drop table {} cascade").format(sql.Identifier(schema, "batch_growthsample"))
        )
        names = replace(found.names)
        missing = Catalogue(connection, names).missing(
            expectations("raw")["batch_growthsample.shape"]
        )
    assert missing == f"there is no table {schema}.batch_growthsample"


def test_without_marts_it_says_what_to_do(
    make_database: Callable[[], str], use_database: Callable[[str], None]
) -> None:
    use_database(make_database())
    shown = run()
    assert shown.exit_code == 1
    assert "dbt build --target prod" in shown.stderr
    assert "--suite raw" in shown.stderr


def test_vars_must_be_a_mapping() -> None:
    assert "no mapping of vars" in run("--vars", "[1]").stderr
    assert "not YAML" in run("--vars", "{").stderr


def test_relations_are_found_in_queries() -> None:
    expectation = expectations("marts")["anchor_on_an_active_day_finds_its_state"]
    assert Relation("marts", "daily_assignment_states") in expectation.relations
