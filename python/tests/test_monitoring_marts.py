"""What the monitoring marts say after a correction, a killed run and a changed plan."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from conftest import AS_OF, BuiltDemo
from psycopg.rows import dict_row

from devtools.compiled_models import Dbt

Row = dict[str, Any]

NEXT_DAY = AS_OF + timedelta(days=1)

KEPT_MARTS = ("daily_batch_states", "state_freshness", "scenario_history", "restatements")
"""Marts of which a copy is kept from before the changes."""

FORGOTTEN_AND_REMEMBERED = """
insert into anchorline_marts.restatements (
    invocation_id, restated_at, batch_id, from_date, day_count, assignment_count, reasons,
    last_published_date, largest_biomass_change_kg, mortality_change_count, feed_change_kg
)
values
    ('forgotten', now() - interval '731 days', -1, '2020-01-01', 1, 1, '', '2020-01-01', 0, 0, 0),
    ('remembered', now() - interval '729 days', -1, '2020-01-01', 1, 1, '', '2020-01-01', 0, 0, 0)
"""

MEASURES = """
    lifecycle_stage_id, avg_weight_g, population, biomass_kg, container_count,
    smallest_container_weight_g, largest_container_weight_g, container_cv_percent, temp_c,
    mortality_count, feed_kg, observed_fcr, gain_kg, arrived_count, departed_count,
    count_adjustment, anchor_count, lowest_weight_confidence
"""


def _rows(url: str, query: str, *parameters: object) -> list[Row]:
    with psycopg.connect(url, row_factory=dict_row) as connection:
        return connection.execute(query.encode(), parameters).fetchall()


def _execute(url: str, *statements: tuple[str, Row | None]) -> None:
    with psycopg.connect(url) as connection:
        for statement, parameters in statements:
            connection.execute(statement.encode(), parameters)


def _one(url: str, query: str, *parameters: object) -> Any:
    (row,) = _rows(url, query, *parameters)
    (value,) = row.values()
    return value


class ChangedFarm:
    """A copy of the demo farm whose records have changed, and the batches that were chosen."""

    def __init__(self, url: str, dbt: Dbt, folder: Path) -> None:
        """Choose the batches: each is alive, and no movement ties it to another one.

        No other batch than the planned one has its TGC model.
        """
        self.url = url
        self._dbt = dbt
        self._folder = folder
        chosen = _rows(
            url,
            """
            select
                batches.batch_id,
                scenarios.tgc_model_id,
                min(anchors.record_id) as sample_id,
                1 = (
                    select count(*) from anchorline_intermediate.int_batch_scenarios as others
                    where others.tgc_model_id = scenarios.tgc_model_id
                ) as has_own_model
            from anchorline_marts.batches as batches
            inner join anchorline_intermediate.int_batch_scenarios as scenarios
                on batches.batch_id = scenarios.batch_id
            inner join anchorline_marts.weight_anchors as anchors
                on batches.batch_id = anchors.batch_id
            where
                anchors.anchor_type = 'growth_sample' and anchors.is_used
                and anchors.anchor_date < %s::date - 20
                and batches.batch_id in (
                    select batch_id from anchorline_marts.daily_batch_states
                    where state_date = %s and population > 0
                )
                and 1 = (
                    select count(*) from anchorline_marts.batches as mates
                    where mates.lineage_id = batches.lineage_id
                )
            group by batches.batch_id, scenarios.tgc_model_id
            order by batches.batch_id
            """,
            AS_OF,
            AS_OF,
        )
        *_, planned = (batch for batch in chosen if batch["has_own_model"])
        self.planned, self.tgc_model = planned["batch_id"], planned["tgc_model_id"]
        sampled = next(batch for batch in chosen if batch["tgc_model_id"] != self.tgc_model)
        self.sampled, self.sample_id = sampled["batch_id"], sampled["sample_id"]
        self.gone = _one(
            url,
            "select max(batch_id) from anchorline_marts.batches where batch_number like 'MIX%%'",
        )

    def run(self, day: date, *arguments: str, **variables: object) -> None:
        """Let dbt build, without tests."""
        with pytest.MonkeyPatch.context() as patch:
            # the server of a farm need not think in UTC
            patch.setenv("PGOPTIONS", "-c timezone=Pacific/Kiritimati")
            self._dbt.run(
                "build",
                self._folder,
                *("--exclude-resource-types", "unit_test"),
                *("--exclude-resource-types", "test"),
                *("--exclude-resource-types", "seed"),
                *arguments,
                variables={"as_of_date": day.isoformat(), **variables},
            )


@pytest.fixture(scope="module")
def farm(
    built_demo: BuiltDemo,
    copy_database: Callable[[str], str],
    dbt_on: Callable[[str], Dbt],
    tmp_path_factory: pytest.TempPathFactory,
) -> ChangedFarm:
    """Correct a sample and kill the run; then change a plan, delete a batch, and run to the end."""
    url = copy_database(built_demo.url)
    changed = ChangedFarm(url, dbt_on(url), tmp_path_factory.mktemp("monitoring"))
    chosen = {
        "sample": changed.sample_id,
        "batch": changed.gone,
        "model": changed.tgc_model,
        "name": 'Kári\'s "fast" fish',
    }
    _execute(
        url,
        ("create schema kept", None),
        *(
            (f"create table kept.{mart} as select * from anchorline_marts.{mart}", None)  # noqa: S608
            for mart in KEPT_MARTS
        ),
        (
            "update batch_growthsample set avg_weight_g = 1.3 * avg_weight_g where id = %(sample)s",
            chosen,
        ),
    )
    changed.run(AS_OF, "--select", "+int_batch_days_before", refresh_batches=[changed.sampled])
    _execute(
        url,
        (FORGOTTEN_AND_REMEMBERED, None),
        ("create table kept.killed as select * from anchorline_marts.state_freshness", None),
        # all foreign keys onto batches go with it
        ("alter table batch_batch drop constraint batch_batch_pkey cascade", None),
        ("delete from batch_batch where id = %(batch)s", chosen),
        (
            "update scenario_tgc_model_stage set tgc_value = 1.1 * tgc_value "
            "where tgc_model_id = %(model)s",
            chosen,
        ),
        (
            "update scenario_tgcmodel set tgc_value = 1.1 * tgc_value, name = %(name)s "
            "where model_id = %(model)s",
            chosen,
        ),
    )
    changed.run(NEXT_DAY)
    return changed


def test_nothing_is_restated_and_nothing_stale_when_a_farm_is_first_built(
    farm: ChangedFarm,
) -> None:
    assert _one(farm.url, "select count(*) from kept.restatements") == 0
    assert _one(farm.url, "select count(*) from kept.state_freshness where is_stale") == 0
    assert _one(farm.url, "select count(*) from kept.state_freshness") == _one(
        farm.url, "select count(*) from kept.scenario_history where is_in_force"
    )


def test_a_killed_run_leaves_its_batch_stale_until_another_one_has_come_through(
    farm: ChangedFarm,
) -> None:
    killed = _rows(farm.url, "select batch_id, stale_reason from kept.killed where is_stale")
    assert killed == [{"batch_id": farm.sampled, "stale_reason": "changes unpublished"}]
    assert _rows(farm.url, "select * from anchorline_marts.state_freshness where is_stale") == []


def test_restatements_are_the_completed_days_that_differ_and_nothing_else(
    farm: ChangedFarm,
) -> None:
    """Against a comparison of all days; a day more, which every batch got, is no restatement."""
    expected = _rows(
        farm.url,
        f"""
        with

        before as (select * from kept.daily_batch_states where not is_provisional),

        after as (select * from anchorline_marts.daily_batch_states where not is_provisional),

        ends as (select batch_id, max(state_date) as last_date from before group by batch_id),

        differing as (
            select
                coalesce(before.batch_id, after.batch_id) as batch_id,
                coalesce(before.state_date, after.state_date) as state_date,
                coalesce(after.biomass_kg, 0) - coalesce(before.biomass_kg, 0) as biomass_kg,
                coalesce(after.feed_kg, 0) - coalesce(before.feed_kg, 0) as feed_kg
            from (select batch_id, state_date, {MEASURES} from before) as before
            full join (select batch_id, state_date, {MEASURES} from after) as after
                using (batch_id, state_date)
            where before is distinct from after
        )

        select
            batch_id,
            min(state_date) as from_date,
            count(*) as day_count,
            ends.last_date as last_published_date,
            coalesce(sum(biomass_kg) filter (where state_date = ends.last_date), 0)
                as change_biomass_kg,
            max(abs(biomass_kg)) as largest_kg,
            sum(feed_kg) as feed_change_kg
        from differing
        inner join ends using (batch_id)
        where state_date <= ends.last_date
        group by batch_id, ends.last_date
        order by batch_id
        """,  # noqa: S608
    )
    published = _rows(
        farm.url,
        """
        select
            batch_id, from_date, day_count, last_published_date, change_biomass_kg,
            abs(largest_biomass_change_kg) as largest_kg, feed_change_kg
        from anchorline_marts.restatements
        where batch_id > 0
        order by batch_id
        """,
    )
    assert published == expected
    restated = {row["batch_id"] for row in published}
    assert restated >= {farm.sampled, farm.planned, farm.gone}
    progressed = {
        row["batch_id"]
        for row in _rows(
            farm.url,
            "select batch_id from anchorline_marts.daily_batch_states where state_date = %s",
            NEXT_DAY,
        )
    }
    assert progressed - restated


def test_a_restatement_says_why_and_by_how_much(farm: ChangedFarm) -> None:
    rows = _rows(farm.url, "select * from anchorline_marts.restatements where batch_id > 0")
    by_batch = {row["batch_id"]: row for row in rows}
    assert len({row["invocation_id"] for row in rows}) == 1
    # the run that was killed noted it, the next one published it
    sampled = by_batch[farm.sampled]
    assert "anchor" in sampled["reasons"].split("; ")
    assert sampled["from_date"] == _one(
        farm.url, "select sample_date from batch_growthsample where id = %s", farm.sample_id
    )
    assert sampled["assignment_count"] >= 1
    planned = by_batch[farm.planned]
    assert "parameters or rules" in planned["reasons"]
    assert planned["largest_biomass_change_kg"] > 0
    gone = by_batch[farm.gone]
    last = _rows(
        farm.url,
        "select population, biomass_kg from kept.daily_batch_states "
        "where batch_id = %s and state_date = %s",
        farm.gone,
        gone["last_published_date"],
    )[0]
    assert (gone["before_population"], gone["after_population"]) == (last["population"], None)
    assert gone["change_population"] == -last["population"]
    assert gone["change_biomass_kg"] == -last["biomass_kg"]
    assert gone["batch_number"] is None


def test_restatements_are_remembered_for_two_years(farm: ChangedFarm) -> None:
    assert _rows(
        farm.url, "select invocation_id from anchorline_marts.restatements where batch_id < 0"
    ) == [{"invocation_id": "remembered"}]


def test_values_before_are_forgotten_once_they_were_compared(farm: ChangedFarm) -> None:
    assert _one(farm.url, "select count(*) from anchorline_ops.int_batch_days_before") == 0


def test_scenario_history_keeps_what_was_in_force_when(farm: ChangedFarm) -> None:
    versions = _rows(
        farm.url,
        "select * from anchorline_marts.scenario_history where batch_id = %s order by valid_from",
        farm.planned,
    )
    assert [version["is_in_force"] for version in versions] == [False, True]
    old, new = versions
    assert old["valid_to"] == new["valid_from"]
    assert old["scenario_id"] == new["scenario_id"]
    assert 'Kári\'s "fast" fish' in new["parameters"]
    assert "Kári" not in old["parameters"]
    # an instant, in whatever time zone the server thinks
    age = _one(farm.url, "select now() - %s::timestamptz", new["valid_from"])
    assert timedelta(0) < age < timedelta(hours=1)


def test_scenario_history_ends_with_a_deleted_batch_and_repeats_nothing(
    farm: ChangedFarm,
) -> None:
    assert _rows(
        farm.url,
        """
        select batch_id, is_in_force from anchorline_marts.scenario_history
        where batch_id = %s or valid_to is not null
        order by batch_id, valid_from
        """,
        farm.gone,
    ) == [
        {"batch_id": batch_id, "is_in_force": False}
        for batch_id in sorted([farm.planned, farm.gone])
    ]


def test_freshness_is_that_of_now(farm: ChangedFarm) -> None:
    """What waits, what failed and what lags shows without any run of dbt."""
    with psycopg.connect(farm.url, row_factory=dict_row) as connection:
        connection.execute(
            "insert into anchorline_ops.change_events (batch_id, from_date, reason) "
            "values (%(batch)s, '2025-01-01', 'sample'), (%(batch)s, '2025-02-01', 'sample')",
            {"batch": farm.sampled},
        )
        connection.execute(
            "insert into anchorline_ops.event_failures (batch_id, reasons, attempt_count, "
            "first_failed_at, last_failed_at, last_error, set_aside_at) "
            "values (%s, '{sample}', 5, now(), now(), 'no such stage', now())",
            (farm.planned,),
        )
        stale = {
            row["batch_id"]: row
            for row in connection.execute(
                "select * from anchorline_marts.state_freshness where is_stale"
            )
        }
        connection.execute(
            "delete from anchorline_marts.daily_batch_states where state_date = %s",
            (NEXT_DAY,),
        )
        lagging = connection.execute(
            "select min(lag_days) as least, max(lag_days) as most, "
            "max(newest_state_date) as newest from anchorline_marts.state_freshness "
            "where expected_state_date = %s",
            (NEXT_DAY,),
        ).fetchone()
        connection.execute(
            "insert into anchorline_ops.change_events (batch_id, reason) values (null, 'model')"
        )
        unclear = connection.execute(
            "select bool_and(is_stale and is_scan_pending) as are_all "
            "from anchorline_marts.state_freshness"
        ).fetchone()
        connection.rollback()
    assert {batch: row["stale_reason"] for batch, row in stale.items()} == {
        farm.sampled: "events pending",
        farm.planned: "refresh set aside",
    }
    assert stale[farm.sampled]["pending_event_count"] == 2
    assert stale[farm.planned]["last_error"] == "no such stage"
    assert lagging == {"least": 1, "most": 1, "newest": AS_OF}
    assert unclear == {"are_all": True}


def test_freshness_knows_the_newest_record_and_the_oldest_anchor(farm: ChangedFarm) -> None:
    """Against the raw tables and the anchors, for a batch that is alive."""
    row = _rows(
        farm.url,
        "select * from anchorline_marts.state_freshness where batch_id = %s",
        farm.sampled,
    )[0]
    newest_feed = _one(
        farm.url,
        "select max(feeding_date) from inventory_feedingevent "
        "where batch_id = %s and feeding_date <= %s",
        farm.sampled,
        NEXT_DAY,
    )
    assert row["newest_event_date"] >= newest_feed
    oldest = _one(
        farm.url,
        """
        select min(coalesce(last_anchors.anchor_date, assignments.assignment_date))
        from batch_batchcontainerassignment as assignments
        left join (
            select assignment_id, max(anchor_date) as anchor_date
            from anchorline_marts.weight_anchors
            where is_used
            group by assignment_id
        ) as last_anchors on assignments.id = last_anchors.assignment_id
        where assignments.id in (
            select assignment_id from anchorline_marts.daily_assignment_states
            where batch_id = %s and state_date = %s and population > 0
        )
        """,
        farm.sampled,
        NEXT_DAY,
    )
    assert row["oldest_anchor_date"] == oldest
    assert row["days_since_oldest_anchor"] == (NEXT_DAY - oldest).days


def test_the_log_of_refreshes_is_live_and_names_batches(farm: ChangedFarm) -> None:
    numbers = _one(
        farm.url,
        "select batch_number from anchorline_marts.batches where batch_id = %s",
        farm.sampled,
    )
    with psycopg.connect(farm.url, row_factory=dict_row) as connection:
        connection.execute(
            "insert into anchorline_ops.refresh_log (mode, reason, batch_ids) "
            "values ('batches', 'a sample', %s)",
            ([farm.sampled, farm.gone],),
        )
        rows = connection.execute("select * from anchorline_marts.refresh_log").fetchall()
        connection.rollback()
    assert [(row["outcome"], row["batch_count"], row["batch_numbers"]) for row in rows] == [
        ("running", 2, f"{numbers}, batch {farm.gone}")
    ]
