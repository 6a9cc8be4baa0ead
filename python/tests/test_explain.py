"""One number, taken apart: names, days, raw records, equations, and what comes out again."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result
from conftest import AS_OF, BuiltDemo

from anchorline.cli import main
from anchorline.errors import AnchorlineError
from anchorline.explain import explain
from anchorline.explain.equations import (
    Equation,
    day_equations,
    departure_equations,
    grown_weight_g,
    is_same,
    mixed_weight_g,
    staying_weight_g,
    temperature_of,
    whole_shares,
)
from anchorline.explain.facts import Departure, MeasuredDay, Movement, Ref, Rules, StateDay, joined
from anchorline.explain.find import Assignment, Named, choose, fold, suggestions
from anchorline.explain.reader import Reader
from anchorline.explain.reading.days import read_state_day

MOST_QUERIES = 22

BATCH = Named(1, "FAR-1")
ONE_DAY = timedelta(days=1)


# -- pure functions ------------------------------------------------------------------------------


def test_published_figures_of_the_cube_root_formula() -> None:
    weight_g = 27.0
    for _ in range(6):
        weight_g = grown_weight_g(weight_g, 1.0, 4000.0, None, None, "cube_root")
    assert weight_g == pytest.approx(19683.0, rel=1e-12)


def test_power_law_grows_by_coefficient_times_temperature_and_weight() -> None:
    grown = grown_weight_g(1000.0, 10.0, 0.008, 1.0, 2 / 3, "power_law")
    assert grown == pytest.approx(1000 + 0.008 * 10 * 100)


@pytest.mark.parametrize("temp_c", [None, 0.0, -1.0])
def test_cold_or_unknown_water_grows_no_fish(temp_c: float | None) -> None:
    assert grown_weight_g(500.0, temp_c, 2.5, None, None, "cube_root") == 500.0


def test_whole_shares_go_to_the_largest_remainder_then_to_the_lowest_id() -> None:
    assert whole_shares(10, [(1, 1), (2, 1), (3, 1)]) == {1: 4, 2: 3, 3: 3}
    assert whole_shares(5, [(7, 10), (8, 30)]) == {7: 1, 8: 4}
    assert whole_shares(3, [(1, 0), (2, 0)]) == {}


def test_fish_that_stay_after_the_largest_left_are_smaller() -> None:
    assert staying_weight_g(100.0, 50, 100, 0.88, 0.2) == (pytest.approx(76.0), True)
    # fewer than a fifth stay, average fish moved, number before not known
    assert staying_weight_g(100.0, 90, 100, 0.88, 0.2) == (88.0, False)
    assert staying_weight_g(100.0, 50, 100, 1.0, 0.2) == (100.0, False)
    assert staying_weight_g(100.0, 50, None, 0.88, 0.2) == (88.0, False)


def _arrival(fish_count: int, weight_g: float) -> Movement:
    return Movement(
        direction="in",
        movement_type="transfer",
        fish_count=fish_count,
        weight_g=weight_g,
        weight_from="",
        other_container=None,
        other_batch=None,
        other_assignment_id=None,
        departed_date=date(2025, 1, 1),
        arrived_date=date(2025, 1, 1),
        is_inferred=False,
        refs=(),
    )


def test_mixing_is_by_number() -> None:
    assert mixed_weight_g(300, 100.0, [_arrival(100, 200.0)]) == 125.0
    assert mixed_weight_g(0, 100.0, []) == 100.0


def test_temperature_lies_between_the_days_around_it() -> None:
    days = [
        MeasuredDay(date(2025, 1, 1), 4.0, 4.0, 4.0, (), 1),
        MeasuredDay(date(2025, 1, 5), 8.0, 8.0, 8.0, (), 1),
    ]
    assert temperature_of("interpolated", days, date(2025, 1, 2), None)[0] == 5.0
    assert temperature_of("nearest", days[:1], date(2025, 1, 2), None)[0] == 4.0
    assert temperature_of("none", [], date(2025, 1, 2), None)[0] is None


def test_values_are_the_same_within_a_unit_of_the_last_decimal() -> None:
    assert is_same(12.34565, 12.3457, 4)
    assert not is_same(12.3455, 12.3457, 4)
    assert is_same(1e9 + 1e-3, 1e9, None)
    assert not is_same(1.0 + 1e-6, 1.0, None)
    assert is_same(None, None, 4)
    assert not is_same(None, 0, 0)
    assert not is_same(3, 4, 0)


def test_references_name_a_few_rows_one_by_one_and_many_by_their_ends() -> None:
    assert str(Ref.of("t", 7)) == "t#7"
    assert str(Ref.of("t", 7, 9)) == "t#7, #9"
    assert str(Ref.span("t", 7, 90, 24)) == "t#7 to #90 (24 rows)"
    assert joined([Ref.of("t", 7), Ref.of("t", 7), Ref.of("u", 1)]) == "t#7, u#1"


def test_names_are_folded_and_near_ones_suggested() -> None:
    assert fold("  ÅRE  “x” ") == fold('åre "x"')
    assert fold("A\u030are") == fold("Åre")
    names = ["FAR-2024-005", "SCO-2024-001", "Tank 'B'"]
    assert suggestions("FAR-2024-05", names)[0] == "FAR-2024-005"
    assert suggestions("tank", names) == ["Tank 'B'"]
    assert suggestions("zzzzzz", names) == []


def _stay(number: int, start: date, end: date | None, last: date) -> Assignment:
    return Assignment(number, 5, "Pen 5", "", start, end, last, None)


def test_of_two_stays_in_a_container_the_day_chooses() -> None:
    first = _stay(1, date(2025, 1, 1), date(2025, 2, 1), date(2025, 1, 31))
    second = _stay(2, date(2025, 2, 1), None, date(2025, 3, 31))
    both = [first, second]
    as_of = date(2025, 3, 31)
    january = choose(BATCH, both, both, date(2025, 1, 31), as_of)
    assert (january.assignment_id, january.has_state) == (1, True)
    # the second begins on the day on which the first departs
    changeover = choose(BATCH, both, both, date(2025, 2, 1), as_of)
    assert (changeover.assignment_id, changeover.has_state) == (2, True)
    assert changeover.note is not None
    assert "2 times" in changeover.note
    assert "#1) departs on this day" in changeover.note
    alone = choose(BATCH, [first], both, date(2025, 2, 1), as_of)
    assert (alone.assignment_id, alone.has_state) == (1, False)


def test_a_rejected_stay_says_why() -> None:
    rejected = Assignment(
        3, 5, "Pen 5", "", date(2025, 1, 1), None, None, "departure before assignment"
    )
    with pytest.raises(AnchorlineError, match=r"#3\) was rejected: departure before assignment"):
        choose(BATCH, [rejected], [rejected], date(2025, 1, 1), date(2025, 3, 31))


# -- on the demo farm ----------------------------------------------------------------------------


@pytest.fixture
def demo(built_demo: BuiltDemo) -> Any:
    with psycopg.connect(built_demo.url, autocommit=True) as connection:
        yield connection


def _take(connection: Any, batch_id: int, container_id: int, day: date) -> StateDay | Departure:
    return explain(connection, "anchorline", f"id:{batch_id}", f"id:{container_id}", day, Rules())


def _equations(explained: StateDay | Departure) -> list[Equation]:
    if isinstance(explained, StateDay):
        return day_equations(explained)
    return departure_equations(explained)


def _wrong(explained: StateDay | Departure) -> list[tuple[str, object, object]]:
    return [(e.name, e.result, e.stored) for e in _equations(explained) if not e.agrees]


STATES_WITH = {
    "arrivals": "arrived_count > 0",
    "departures": "departed_count > 0",
    "anchors": "anchor_type is not null",
    "anchors other than samples": "anchor_type <> 'growth_sample'",
    "shares of deaths": "mortality_source = 'prorated'",
    "modelled deaths": "mortality_source = 'model'",
    "adjusted numbers": "count_adjustment > 0",
    "interpolated temperatures": "temp_source = 'interpolated'",
    "nearest temperatures": "temp_source = 'nearest'",
    "profile temperatures": "temp_source = 'profile'",
    "inferred arrivals": "is_arrival_inferred and arrived_count > 0",
    "feed conversion": "observed_fcr is not null",
    "no fish": "population = 0",
    "provisional days": "is_provisional",
    "the baseline": "scenario_source = 'baseline'",
    "bad records": "batch_number like 'TROUBLE%'",
}


@pytest.mark.parametrize("condition", STATES_WITH.values(), ids=STATES_WITH)
def test_equations_give_the_published_numbers_with(condition: str, demo: Any) -> None:
    days = demo.execute(
        "select batch_id, container_id, state_date "  # noqa: S608
        f"from anchorline_marts.daily_assignment_states where {condition} "
        "order by md5(assignment_id::text || state_date) limit 8"
    ).fetchall()
    assert days
    for batch_id, container_id, day in days:
        explained = _take(demo, batch_id, container_id, day)
        assert isinstance(explained, StateDay)
        assert _wrong(explained) == []
        assert all(movement.refs for movement in explained.movements)
        assert all(movement.weight_from for movement in explained.movements)


def test_what_left_on_departure_days_adds_up(demo: Any) -> None:
    stays = demo.execute(
        "select batch_id, container_id, departure_date from anchorline_intermediate.int_assignments"
        " where departure_date <= %s and departure_date > assignment_date"
        " order by md5(assignment_id::text) limit 25",
        (AS_OF,),
    ).fetchall()
    for batch_id, container_id, day in stays:
        explained = _take(demo, batch_id, container_id, day)
        assert isinstance(explained, Departure)
        assert explained.reconciliation is not None
        assert _wrong(explained) == []


def _case(connection: Any, name: str, table: str, columns: str) -> list[Any]:
    """Return columns of the raw rows of a special case, and of their assignment."""
    rows: list[Any] = connection.execute(
        f"select {columns} from demo_truth.cases "  # noqa: S608
        f"inner join {table} as raw on cases.record_id = raw.id "
        "inner join batch_batchcontainerassignment as stay on stay.id = "
        + ("raw.id" if table == "batch_batchcontainerassignment" else "raw.assignment_id")
        + f" where case_name = '{name}' and cases.table_name = '{table}' order by raw.id"
    ).fetchall()
    assert rows, name
    return rows


def _all_refs(explained: StateDay) -> str:
    found = [ref for entry in explained.movements for ref in (*entry.refs, *entry.weight_refs)]
    found += [record.ref for record in explained.deaths.records]
    found += [ref for entry in explained.measurements for ref in entry.refs]
    found += [ref for entry in explained.temperature.days for ref in entry.refs]
    found += [record.ref for record in explained.feed.records]
    found += [entry.ref for entry in explained.unused]
    found += explained.parameters.scenario_refs
    return joined(found)


SAMPLE = "stay.batch_id, stay.container_id, raw.sample_date, raw.id"


def test_two_samples_of_a_day_are_averaged(demo: Any) -> None:
    rows = _case(demo, "two_samples_one_day", "batch_growthsample", SAMPLE)
    batch_id, container_id, day, _ = rows[0]
    explained = _take(demo, batch_id, container_id, day)
    assert isinstance(explained, StateDay)
    used = [entry for entry in explained.measurements if entry.anchor_status == "used"]
    assert [entry.record_id for entry in used] == [
        row[3] for row in rows if row[:3] == (batch_id, container_id, day)
    ]
    anchor = next(entry for entry in _equations(explained) if entry.name == "Anchor")
    assert anchor.agrees
    assert "mean" in anchor.symbols


def test_an_excluded_sample_stays_visible(demo: Any) -> None:
    row = _case(demo, "excluded_sample", "batch_growthsample", SAMPLE)[0]
    explained = _take(demo, *row[:3])
    assert isinstance(explained, StateDay)
    excluded = [entry for entry in explained.measurements if entry.anchor_status == "excluded"]
    assert [entry.record_id for entry in excluded] == [row[3]]
    assert "anchorline_ops.anchor_exclusions#" in joined(excluded[0].refs)


def test_a_superseded_measurement_stays_visible(demo: Any) -> None:
    row = _case(demo, "superseded_anchor", "batch_growthsample", SAMPLE)[0]
    explained = _take(demo, *row[:3])
    assert {entry.anchor_status for entry in explained.measurements} == {"used", "superseded"}


def test_a_sample_that_cannot_be_true_is_listed_as_not_used(demo: Any) -> None:
    row = _case(demo, "bad_weight_zero", "batch_growthsample", SAMPLE)[0]
    explained = _take(demo, *row[:3])
    unused = {str(entry.ref): entry.reason for entry in explained.unused}
    assert unused[f"batch_growthsample#{row[3]}"] == "weight out of range"


def test_a_sample_of_the_departure_day_weighs_the_fish_that_left(demo: Any) -> None:
    row = _case(demo, "departure_day_sample", "batch_growthsample", SAMPLE)[0]
    explained = _take(demo, *row[:3])
    assert isinstance(explained, Departure)
    assert [entry.record_id for entry in explained.measurements] == [row[3]]
    assert f"batch_growthsample#{row[3]}" in joined(
        ref for entry in explained.movements for ref in entry.weight_refs
    )


DEATH = "stay.batch_id, stay.container_id, raw.event_date::date, raw.id"


def test_a_health_record_beside_an_event_is_not_counted_twice(demo: Any) -> None:
    rows = demo.execute(
        "select stay.batch_id, stay.container_id, raw.event_date::date, raw.id "
        "from demo_truth.cases inner join health_mortalityrecord as raw on raw.id = record_id "
        "inner join batch_batchcontainerassignment as stay on stay.id = raw.assignment_id "
        "where case_name = 'health_deaths_beside'"
    ).fetchall()
    row = rows[0]
    explained = _take(demo, *row[:3])
    assert isinstance(explained, StateDay)
    beside = [r for r in explained.deaths.records if r.ref.table == "health_mortalityrecord"]
    assert [record.is_used for record in beside] == [False]
    assert f"health_mortalityrecord#{row[3]}" in _all_refs(explained)


def test_deaths_of_the_batch_alone_are_shared_by_number(demo: Any) -> None:
    rows = demo.execute(
        "select states.batch_id, states.container_id, states.state_date, raw.id "
        "from demo_truth.cases inner join batch_mortalityevent as raw on raw.id = record_id "
        "inner join anchorline_marts.daily_assignment_states as states "
        "on states.batch_id = raw.batch_id and states.state_date = raw.event_date "
        "where case_name = 'deaths_batch_alone' order by raw.id, states.assignment_id limit 3"
    ).fetchall()
    assert rows
    for row in rows:
        explained = _take(demo, *row[:3])
        assert isinstance(explained, StateDay)
        assert f"batch_mortalityevent#{row[3]}" in _all_refs(explained)
        assert "Deaths" in [e.name for e in _equations(explained) if not e.is_detail]


def test_fish_in_transit_are_told_and_when_they_arrive(demo: Any) -> None:
    row = demo.execute(
        "select stay.batch_id, stay.container_id, stay.departure_date, raw.id "
        "from demo_truth.cases inner join batch_transferaction as raw on raw.id = record_id "
        "inner join batch_batchcontainerassignment as stay on stay.id = raw.source_assignment_id "
        "where case_name = 'transfer_late'"
    ).fetchone()
    explained = _take(demo, *row[:3])
    assert isinstance(explained, Departure)
    late = [entry for entry in explained.movements if entry.arrived_date > entry.departed_date]
    assert f"batch_transferaction#{row[3]}" in joined(ref for e in late for ref in e.refs)


def test_a_container_that_fish_passed_through_shows_both_ways(demo: Any) -> None:
    row = demo.execute(
        "select batch_id, container_id, departure_date from anchorline_intermediate.int_assignments"
        " where departure_date = assignment_date and departure_date <= %s limit 1",
        (AS_OF,),
    ).fetchone()
    assert row is not None, "the demo farm has one-day chains"
    explained = _take(demo, *row)
    assert isinstance(explained, Departure)
    assert explained.kind == "passing_through"
    assert {entry.direction for entry in explained.movements} == {"in", "out"}


def test_the_first_day_begins_with_row_zero(demo: Any) -> None:
    row = demo.execute(
        "select batch_id, container_id, assignment_date from anchorline_intermediate.int_stocking "
        "inner join anchorline_intermediate.int_assignments using (assignment_id, assignment_date) "
        "where stocking_source = 'creation_actions' and last_active_date >= assignment_date "
        "order by assignment_id limit 1"
    ).fetchone()
    explained = _take(demo, *row)
    assert isinstance(explained, StateDay)
    assert explained.before.is_row_zero
    assert explained.before.population == 0
    assert [entry.movement_type for entry in explained.movements] == ["stocking"]
    assert "batch_creationaction#" in _all_refs(explained)


def test_model_changes_and_pins_are_named(demo: Any) -> None:
    changed = demo.execute(
        "select states.batch_id, container_id, state_date, batches.scenario_id "
        "from anchorline_marts.daily_assignment_states as states "
        "inner join anchorline_marts.batches using (batch_id) "
        "inner join scenario_scenariomodelchange as changes "
        "on changes.scenario_id = batches.scenario_id and day_number = changes.change_day "
        "order by states.assignment_id limit 1"
    ).fetchone()
    explained = _take(demo, *changed[:3])
    assert isinstance(explained, StateDay)
    assert "scenario_scenariomodelchange#" in joined(explained.parameters.scenario_refs)
    pinned = demo.execute(
        "select batch_id, container_id, state_date from anchorline_marts.daily_assignment_states "
        "where scenario_source = 'pinned_run' order by state_date limit 1"
    ).fetchone()
    explained = _take(demo, *pinned)
    assert isinstance(explained, StateDay)
    assert "scenario_projection_run#" in joined(explained.parameters.scenario_refs)


def test_a_day_takes_a_handful_of_queries(demo: Any) -> None:
    row = demo.execute(
        "select batch_id, container_id, state_date from anchorline_marts.daily_assignment_states "
        "where arrived_count > 0 order by anchor_type is null, arrived_count desc limit 1"
    ).fetchone()
    explained = _take(demo, *row)
    reader = Reader(demo, "anchorline")
    read_state_day(reader, explained.stay, row[2], Rules())
    assert reader.query_count <= MOST_QUERIES


# -- the command ---------------------------------------------------------------------------------


@pytest.fixture
def run(built_demo: BuiltDemo, use_database: Callable[[str], None]) -> Callable[..., Result]:
    use_database(built_demo.url)

    def invoke(*arguments: object) -> Result:
        texts = [str(argument) for argument in arguments]
        return CliRunner().invoke(main, ["explain", *texts, "--target", "prod"])

    return invoke


def _odd_day(connection: Any) -> tuple[str, str, date]:
    """A day in a container whose name has quotes and letters beyond Latin ones."""
    row = connection.execute(
        "select batch_number, container_name, state_date "
        "from anchorline_marts.daily_assignment_states "
        "where container_name ~ '[^ -~]' and container_name ~ '\"' "
        "order by assignment_id, state_date limit 1"
    ).fetchone()
    assert row is not None
    return row[0], row[1], row[2]


def test_the_command_shows_sections_and_exits_with_0(run: Callable[..., Result], demo: Any) -> None:
    batch, container, day = _odd_day(demo)
    shown = run(batch, container, day)
    assert shown.exit_code == 0, shown.output
    for text in (batch, container, str(day), "Temperature", "Computed again", "Published", "#"):
        assert text in shown.output
    assert "DIFFERS" not in shown.output
    folded = run(batch.lower(), container.replace('"', "\u201c"), day)
    assert folded.output == shown.output


def test_json_holds_the_same(run: Callable[..., Result], demo: Any) -> None:
    batch, container, day = _odd_day(demo)
    shown = json.loads(run(batch, container, day, "--json").output)
    assert shown["kind"] == "state"
    assert shown["agrees"] is True
    assert shown["stay"]["container_name"] == container
    assert shown["state_date"] == str(day)
    assert {"before", "movements", "deaths", "temperature", "parameters", "feed"} <= set(shown)


def test_ids_serve_as_names(run: Callable[..., Result], demo: Any) -> None:
    batch_id, container_id, day = demo.execute(
        "select batch_id, container_id, state_date from anchorline_marts.daily_assignment_states "
        "order by assignment_id, state_date limit 1"
    ).fetchone()
    assert run(batch_id, f"id:{container_id}", day).exit_code == 0


def test_unknown_names_are_met_with_near_ones(run: Callable[..., Result], demo: Any) -> None:
    batch, container, day = _odd_day(demo)
    shown = run(batch[:-1], container, day)
    assert shown.exit_code == 1
    assert f"Did you mean '{batch}'" in shown.stderr
    shown = run(batch, "nothing at all like it", day)
    assert shown.exit_code == 1
    assert "There is no container with the name or id" in shown.stderr


def test_days_before_and_after_say_where_the_batch_was(
    run: Callable[..., Result], demo: Any
) -> None:
    batch, container, first, departure = demo.execute(
        "select batch_number, container_name, assignment_date, departure_date "
        "from anchorline_marts.population_reconciliation "
        "where departure_date < %s - 30 and last_state_date > assignment_date "
        "and container_name in (select container_name from anchorline_marts.containers "
        "group by 1 having count(*) = 1) order by assignment_id limit 1",
        (AS_OF,),
    ).fetchone()
    before = run(batch, container, first - ONE_DAY)
    assert before.exit_code == 1
    assert "one day before it came there" in before.stderr
    on_day = run(batch, container, departure)
    assert on_day.exit_code == 0, on_day.output
    assert "What left" in on_day.output
    after = run(batch, container, departure + 2 * ONE_DAY)
    assert after.exit_code == 1
    assert f"it left on {departure}" in after.stderr
    assert "it was in " in after.stderr
    future = run(batch, container, AS_OF + 10 * ONE_DAY)
    assert future.exit_code == 1
    assert f"the last day of the states. Ask for a day up to {AS_OF}" in future.stderr


def test_a_container_that_never_held_the_batch(run: Callable[..., Result], demo: Any) -> None:
    batch, day, other = demo.execute(
        "select states.batch_number, states.state_date, others.container_id "
        "from anchorline_marts.daily_assignment_states as states "
        "cross join anchorline_marts.containers as others "
        "where not exists (select 1 from batch_batchcontainerassignment as stays "
        "where stays.batch_id = states.batch_id and stays.container_id = others.container_id) "
        "limit 1"
    ).fetchone()
    shown = run(batch, f"id:{other}", day)
    assert shown.exit_code == 1
    assert f"Batch {batch} was never in container" in shown.stderr


def test_no_database_of_ours_is_said_plainly(
    make_database: Callable[[], str], use_database: Callable[[str], None]
) -> None:
    use_database(make_database())
    shown = CliRunner().invoke(main, ["explain", "a", "b", "2025-01-01", "--target", "prod"])
    assert shown.exit_code == 1
    assert "Build all models of this release with `dbt build`" in shown.stderr


def test_a_record_changed_since_the_build_is_found_out(
    built_demo: BuiltDemo,
    copy_database: Callable[[str], str],
    use_database: Callable[[str], None],
) -> None:
    url = copy_database(built_demo.url)
    with psycopg.connect(url) as connection:
        batch, container, day, assignment_id = connection.execute(
            "select batch_number, container_id, state_date, assignment_id "
            "from anchorline_marts.daily_assignment_states "
            "where mortality_source = 'actual' and anchor_type = 'growth_sample' "
            "and mortality_count > 0 order by assignment_id limit 1"
        ).fetchone() or ("", 0, AS_OF, 0)
        connection.execute(
            "update batch_growthsample set avg_weight_g = avg_weight_g + 1 "
            "where assignment_id = %s and sample_date = %s",
            (assignment_id, day),
        )
    use_database(url)
    arguments = ["explain", batch, f"id:{container}", str(day), "--target", "prod"]
    shown = CliRunner().invoke(main, arguments)
    assert shown.exit_code == 1
    assert "does not come out: " in shown.output
    assert "Anchor" in shown.output
    assert "DIFFERS" in shown.output
