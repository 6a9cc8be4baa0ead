"""A refresh gives what a rebuild gives: the short form of `python -m devtools.equality`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any, LiteralString

import numpy as np
import psycopg
import pytest

from devtools import equality
from devtools.compiled_models import ParsedProject
from devtools.edits import KINDS, Edit
from devtools.equality import Project, Trial

SEED = 4
EDITS_PER_REFRESH = 9
REFRESHES = 4


@dataclass
class Database:
    """A database with the demo farm, built by a copy of the project."""

    connection: psycopg.Connection
    project: Project


@pytest.fixture(scope="module")
def database(
    make_database: Callable[[], str],
    database_environment: Callable[[str], dict[str, str]],
    parsed_project: ParsedProject,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Database]:
    url = make_database()
    folder = tmp_path_factory.mktemp("equality")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            **database_environment(url),
            "DBT_TARGET_PATH": str(folder / "target"),
            "DBT_LOG_PATH": str(folder / "logs"),
            "USER": equality.REBUILD_USER,
        }.items():
            patch.setenv(name, value)
        logging.disable(logging.CRITICAL)
        try:
            with psycopg.connect(url, autocommit=True) as connection:
                project = Project.copied(Path(folder) / "project", {})
                for target, schema in {"prod": equality.REFRESHED, "dev": equality.REBUILT}.items():
                    project.manifests[0, target] = parsed_project.of(connection.info.dbname, schema)
                equality.prepare(connection, project, batches=2, seed=SEED)
                yield Database(connection, project)
        finally:
            logging.disable(logging.NOTSET)


@pytest.fixture
def trial(database: Database) -> Trial:
    said: list[str] = []
    as_of = date.fromisoformat(database.project.variables["as_of_date"])
    rng = np.random.default_rng(SEED)
    return Trial(database.connection, database.project, rng, said.append, as_of)


def what_was_done(trial: Trial) -> str:
    return "\n".join([f"seed {SEED}", *trial.since_good, *map(str, trial.differences)])


def test_refreshes_after_random_edits_equal_a_rebuild(trial: Trial) -> None:
    """By turns a scan and limited to the batches that the edits name."""
    kinds = trial.rng.permutation(np.array(KINDS))
    for start in range(0, EDITS_PER_REFRESH * REFRESHES, EDITS_PER_REFRESH):
        chosen = [str(kinds[i % len(kinds)]) for i in range(start, start + EDITS_PER_REFRESH)]
        edits: list[Edit] = [trial.edit(kind) for kind in chosen]
        trial.refresh(edits)
    assert trial.check(), what_was_done(trial)
    assert {"scan", "limited"} <= trial.seconds.keys()


def test_new_days_are_computed_from_their_own_records(trial: Trial) -> None:
    """Day after day what a farm enters, with counts that are rebuilt from what comes later."""
    connection, days_looked_at = trial.connection, []
    for table in ("batch_mortalityevent", "inventory_feedingevent", "batch_growthsample"):
        connection.execute(  # random edits number their rows themselves
            f"select setval(pg_get_serial_sequence('{table}', 'id'), max(id)) from {table}"  # noqa: S608
        )
    for _ in range(2):
        last_day = trial.as_of
        trial.advance(1)
        for statement in (
            """
            insert into batch_mortalityevent (
                event_date, count, biomass_kg, cause, description, created_at, updated_at,
                batch_id, assignment_id
            )
            select %(today)s, 3, 0, 'OTHER', '', now(), now(), batch_id, assignment_id
            from anchorline_marts.daily_assignment_states
            where state_date = %(last_day)s
            """,
            """
            update batch_batchcontainerassignment as assignments
            set population_count = population_count - 3
            from anchorline_marts.daily_assignment_states as states
            where assignments.id = states.assignment_id and states.state_date = %(last_day)s
            """,
            """
            insert into inventory_feedingevent (
                feeding_date, feeding_time, amount_kg, batch_biomass_kg, method, notes,
                created_at, updated_at, batch_id, batch_assignment_id, container_id, feed_id
            )
            select distinct on (batch_assignment_id)
                %(today)s::date, feeding_time, amount_kg + 1, batch_biomass_kg, method, notes,
                now(), now(), batch_id, batch_assignment_id, container_id, feed_id
            from inventory_feedingevent
            where batch_id in (select id from batch_batch where actual_end_date is null)
            order by batch_assignment_id, feeding_date desc, id
            """,
            """
            insert into batch_growthsample (
                assignment_id, sample_date, sample_size, avg_weight_g, notes, created_at,
                updated_at
            )
            select assignment_id, %(today)s, 20, avg_weight_g * 1.2, '', now(), now()
            from anchorline_marts.daily_assignment_states
            where state_date = %(last_day)s
            order by assignment_id limit 1
            """,
        ):
            done = connection.execute(statement, {"today": trial.as_of, "last_day": last_day})
            assert done.rowcount > 0
        trial.refresh([], of_new_days=True)
        days_looked_at.append(
            _one(
                connection,
                "select days_since from anchorline_ops.examinations "
                "order by started_at desc limit 1",
            )[0]
        )
    assert days_looked_at == [trial.as_of - timedelta(days=days) for days in (2, 1)]
    assert trial.check(), what_was_done(trial)


def test_what_is_easily_missed_is_found(trial: Trial) -> None:
    """Cases in which rows depend on more than the days whose inputs differ."""
    limited_to = equality.limits_of
    editor, connection = trial.editor, trial.connection
    death = editor.any_of("batch_mortalityevent")

    # fish come from an assignment that ended the day before the first changed day
    stay, batch, day = _one(
        connection,
        """
        select movements.to_assignment_id, dests.batch_id, movements.arrived_date
        from anchorline_intermediate.int_movements as movements
        inner join anchorline_intermediate.int_assignments as sources
            on movements.from_assignment_id = sources.assignment_id
        inner join anchorline_intermediate.int_assignments as dests
            on movements.to_assignment_id = dests.assignment_id
        where
            movements.arrived_date = sources.departure_date
            and movements.arrived_date = dests.assignment_date
            and movements.movement_type = 'transfer'
        order by movements.movement_key limit 1
        """,
    )
    # a stage that changes no weight of the first day
    stocked, stage, stocked_on = _one(
        connection,
        """
        select stays.assignment_id, stages.next_lifecycle_stage_id, stays.assignment_date
        from anchorline_intermediate.int_assignments as stays
        inner join anchorline_intermediate.int_stocking as stocking using (assignment_id)
        inner join anchorline_intermediate.int_lifecycle_stage_order as stages
            on stays.lifecycle_stage_id = stages.lifecycle_stage_id
        where
            stocking.start_weight_source = 'assignment'
            and stays.last_active_date > stays.assignment_date
            and stages.next_lifecycle_stage_id is not null
        order by stays.assignment_id limit 1
        """,
    )
    # a treatment linked to a sampling of another batch: only that other one is examined later
    treatment, other_batch = _one(
        connection,
        """
        select treatments.id, batches.id
        from health_treatment as treatments
        inner join batch_batch as batches on treatments.batch_id <> batches.id
        where treatments.sampling_event_id is not null and treatments.includes_weighing
        order by treatments.id, batches.id limit 1
        """,
    )

    # a transfer within one batch whose destination is gone: of which batch it is, it does not say
    (destination,) = _one(
        connection,
        """
        select movements.to_assignment_id
        from anchorline_intermediate.int_movements as movements
        inner join anchorline_intermediate.int_assignments as sources
            on movements.from_assignment_id = sources.assignment_id
        where
            movements.raw_table = 'batch_transferaction'
            and movements.to_assignment_id <> all(%s)
            and sources.batch_id <> %s
        order by movements.movement_key desc limit 1
        """,
        [stay, stocked],
        batch,
    )

    def first_edits() -> None:
        editor.delete("batch_batchcontainerassignment", destination)
        editor.insert(
            "batch_mortalityevent",
            death,
            batch_id=batch,
            assignment_id=stay,
            event_date=day,
            count=7,
        )
        editor.update("batch_batchcontainerassignment", stocked, lifecycle_stage_id=stage)
        # some are harvested on the day they are stocked: no assignment held them the day before
        event = editor.insert(
            "harvest_harvestevent",
            editor.any_of("harvest_harvestevent"),
            assignment_id=stocked,
            event_date=editor.an_instant(stocked_on),
        )
        lot = editor.any_of("harvest_harvestlot")
        editor.insert("harvest_harvestlot", lot, event_id=event, unit_count=3)
        editor.update("health_treatment", treatment, batch_id=other_batch)
        # deaths on a day without states
        (start,) = _one(connection, "select start_date from batch_batch where id = %s", batch)
        editor.insert(
            "batch_mortalityevent",
            death,
            batch_id=batch,
            assignment_id=None,
            event_date=start - timedelta(days=20),
            count=9,
        )
        # feed that cannot be true and names the container alone
        (container,) = _one(
            connection,
            "select container_id from batch_batchcontainerassignment where id = %s",
            stay,
        )
        editor.insert(
            "inventory_feedingevent",
            editor.any_of("inventory_feedingevent"),
            batch_id=None,
            batch_assignment_id=None,
            container_id=container,
            feeding_date=day,
            amount_kg=-1,
        )
        # a name that stands in rows of models behind the changes
        editor.update("batch_batch", batch, batch_number="RENAMED")

    edit = trial.edit(first_edits)
    # another run follows the changes as soon as they are there, before their own run does
    trial.project.dbt("prod", "run", "--select", "+int_changes", variables=limited_to([edit]))
    trial.project.dbt("prod", "run", "--select", "int_changes+", "--exclude", "int_changes")
    trial.project.refresh(limited_to([edit]))
    trial.project.dbt(
        "prod",
        "run",
        "--select",
        "int_transfer_actions_checked",
        variables={"refresh_batches": [batch]},
    )

    # an assignment is deleted; a run stops before all tables have lost it; a mart is run by hand
    # before the states it shows
    edit = trial.edit("assignment_delete")
    limits = limited_to([edit])
    trial.project.dbt("prod", "run", "--select", "+int_assignments", variables=limits)
    trial.project.dbt("prod", "run", "--select", "+int_changes", variables=limits)
    trial.project.dbt("prod", "run", "--select", "daily_assignment_states")
    trial.project.refresh(limits)
    assert trial.check(), what_was_done(trial)


def test_what_follows_changes_is_made_from_tables_that_are_made_before_them(
    database: Database,
) -> None:
    """Any run may follow a change as soon as it is there, not only the one that has found it."""
    nodes = database.project.manifest("prod").nodes
    models = {key: node for key, node in nodes.items() if node.resource_type == "model"}

    @cache
    def ancestors(key: str) -> frozenset[str]:
        parents = frozenset(parent for parent in models[key].depends_on.nodes if parent in models)
        return parents.union(*map(ancestors, parents))

    changes = "model.anchorline.int_changes"
    following = {key for key, node in models.items() if node.config.meta.get("published_by")}
    tables = {key for key, node in models.items() if node.config.materialized == "incremental"}
    read = frozenset().union(*map(ancestors, following)) & tables - following
    made_later = read - ancestors(changes) - {changes}
    assert len(read) > 20
    assert made_later == {"model.anchorline.int_batch_days_before"}, "which reads changes itself"


def test_a_row_changed_behind_the_models_backs_is_found(trial: Trial) -> None:
    """The comparison of the test above can fail: it has left what it was made with."""
    if trial.project.rebuilt_rules is None:
        equality.rebuild(trial.connection, trial.project)
    assert equality.compare(trial.connection) == []
    with trial.connection.transaction(force_rollback=True):
        trial.connection.execute(
            """
            update anchorline_intermediate.int_growth_states
            set weight_g = weight_g + 1e-12 * weight_g
            where (assignment_id, state_date) in (
                select assignment_id, max(state_date)
                from anchorline_intermediate.int_growth_states
                group by assignment_id order by assignment_id limit 1
            )
            """
        )
        (found,) = equality.compare(trial.connection)
    assert found.table == "intermediate.int_growth_states"
    assert found.columns == ("weight_g",)
    assert (found.only_refreshed, found.only_rebuilt) == (1, 1)


def test_a_late_correction_touches_what_follows_from_it_once_and_nothing_else(
    trial: Trial,
) -> None:
    """The states of its lineage from its day on, and the smoothed rows of its fish."""
    connection = trial.connection
    sample, assignment, day = _late_sample(connection, trial.as_of - timedelta(days=300))
    before, smoothed_before = _computed_at(connection), _smoothed_versions(connection)
    (last_change,) = connection.execute(
        "select max(change_id) from anchorline_ops.int_changes"
    ).fetchone() or (0,)

    trial.editor.update("batch_growthsample", sample, avg_weight_g=_heavier(connection, sample))
    trial.project.refresh()

    after = _computed_at(connection)
    lineage = _lineage_of(connection, assignment)
    touched = {key for key in after if after[key] != before.get(key)}
    expected = {
        (stay, state_date) for stay, state_date in after if stay in lineage and state_date >= day
    }
    assert touched == expected
    assert len(expected) < len(after) / 2, "the correction reaches less than half of the rows"
    changes = connection.execute(
        """
        select assignment_id, from_date from anchorline_ops.int_changes where change_id > %s
        """,
        (last_change,),
    ).fetchall()
    assert {stay for stay, _ in changes} <= lineage
    assert min(from_date for _, from_date in changes) == day

    smoothed = _smoothed_versions(connection)
    assert smoothed.keys() == smoothed_before.keys()
    touched = {key for key in smoothed if smoothed[key] != smoothed_before[key]}
    stays = {stay for stay, _ in touched}
    assert assignment in stays
    assert stays <= _reached_by_fish_of(connection, assignment)
    assert touched == {key for key in smoothed if key[0] in stays}, "all days of an assignment"
    assert len(stays) < len(lineage) / 2

    trial.project.refresh()
    assert _computed_at(connection) == after, "a run that finds nothing changed writes no state"


def test_one_more_day_writes_the_smoothed_rows_of_that_day(trial: Trial) -> None:
    """And those of the day before that late deaths change: no others."""
    connection, day = trial.connection, trial.as_of
    trial.project.refresh()
    stay, batch = _one(
        connection,
        """
        select assignment_id, batch_id from anchorline_marts.daily_assignment_smoothed
        where
            state_date = %s
            and population > 1000
            and not is_observed
            and assignment_id not in ( -- how many there were at first follows from who died
                select assignment_id from anchorline_intermediate.int_stocking
                where stocking_source in ('inferred', 'rebuilt')
                union all
                select to_assignment_id from anchorline_intermediate.int_movements
                where is_inferred and to_assignment_id is not null
            )
        order by assignment_id limit 1
        """,
        day,
    )
    versions, days = _smoothed_versions(connection), _smoothed_days(connection)

    def late_deaths() -> None:
        trial.editor.insert(
            "batch_mortalityevent",
            trial.editor.any_of("batch_mortalityevent"),
            batch_id=batch,
            assignment_id=stay,
            event_date=day,
            count=501,
        )

    trial.edit(late_deaths)
    new_day = day + timedelta(days=1)
    trial.project.variables["as_of_date"] = new_day.isoformat()
    limits = {"refresh_batches": _batches(connection), "refresh_days_since": day.isoformat()}
    trial.project.refresh(limits)

    new_versions, new_days = _smoothed_versions(connection), _smoothed_days(connection)
    new_keys = new_versions.keys() - versions.keys()
    assert new_keys
    assert {state_date for _, state_date in new_keys} == {new_day}
    assert (stay, new_day) in new_keys
    changed = {key for key in days if new_days[key] != days[key]}
    assert (stay, day) in changed
    assert {state_date for _, state_date in changed} == {day}
    touched = {key for key in new_versions if new_versions[key] != versions.get(key)}
    # (what was entered for the new day in advance revises the days before it)
    weighed = _weighed_on(connection, new_day)
    assert stay not in weighed
    assert {key for key in touched ^ (changed | new_keys) if key[0] not in weighed} == set()

    trial.project.variables["as_of_date"] = day.isoformat()
    trial.project.refresh()
    assert _smoothed_versions(connection).keys() == versions.keys()
    assert trial.check(), what_was_done(trial)


def test_how_sure_a_sample_is_goes_with_its_fish(trial: Trial) -> None:
    """No state changes by it, but the start of an assignment that the fish move to does."""
    connection = trial.connection
    sample, destination = _one(
        connection,
        """
        select anchors.record_id, arrivals.assignment_id
        from anchorline_intermediate.int_smoothing_arrivals as arrivals
        inner join anchorline_marts.weight_anchors as anchors
            on
                arrivals.source_assignment_id = anchors.assignment_id
                and arrivals.departed_date > anchors.anchor_date
        where
            anchors.anchor_type = 'growth_sample'
            and anchors.is_used
            and anchors.day_measurement_count = 1
            and anchors.innovation is not null
        order by arrivals.departed_date - anchors.anchor_date, arrivals.movement_key limit 1
        """,
    )

    def start_variance() -> float:
        (variance,) = _one(
            connection,
            """
            select prior_variance from anchorline_intermediate.int_weight_filter
            where assignment_id = %s and observation_index = 0
            """,
            destination,
        )
        return float(variance)

    before, computed_at = start_variance(), _computed_at(connection)
    trial.editor.update("batch_growthsample", sample, sample_size=1, std_deviation_weight=None)
    trial.project.refresh()
    assert start_variance() > before
    assert _computed_at(connection) == computed_at, "no state is computed again"
    assert trial.check(), what_was_done(trial)


def _one(connection: psycopg.Connection, query: LiteralString, *parameters: object) -> Any:
    row = connection.execute(query, parameters or None).fetchone()
    assert row is not None, f"the farm has no such row: {query}"
    return row


def _late_sample(connection: psycopg.Connection, day: date) -> tuple[int, int, date]:
    """Return a used sample near a day, whose fish live on."""
    row = connection.execute(
        """
        select record_id, assignment_id, anchor_date
        from anchorline_marts.weight_anchors
        where anchor_type = 'growth_sample' and anchor_status = 'used'
        order by abs(anchor_date - %s::date), record_id
        limit 1
        """,
        (day,),
    ).fetchone()
    assert row is not None, "the farm has no used sample"
    return row


def _heavier(connection: psycopg.Connection, sample: int) -> float:
    row = connection.execute(
        "select avg_weight_g * 1.01 from batch_growthsample where id = %s", (sample,)
    ).fetchone()
    assert row is not None
    return round(float(row[0]), 2)


def _computed_at(connection: psycopg.Connection) -> dict[tuple[int, date], object]:
    return {
        (stay, state_date): computed_at
        for stay, state_date, computed_at in connection.execute(
            """
            select assignment_id, state_date, last_computed_at
            from anchorline_marts.daily_assignment_states
            """
        ).fetchall()
    }


def _smoothed_versions(connection: psycopg.Connection) -> dict[tuple[int, date], object]:
    """Return which transaction wrote each smoothed row."""
    return {
        (stay, state_date): version
        for stay, state_date, version in connection.execute(
            """
            select assignment_id, state_date, xmin::text
            from anchorline_marts.daily_assignment_smoothed
            """
        ).fetchall()
    }


def _weighed_on(connection: psycopg.Connection, day: date) -> set[int]:
    rows = connection.execute(
        """
        select assignment_id from anchorline_marts.daily_assignment_smoothed
        where state_date = %s and is_observed
        """,
        (day,),
    ).fetchall()
    return {stay for (stay,) in rows}


def _smoothed_days(connection: psycopg.Connection) -> dict[tuple[int, date], object]:
    """Return what the smoothed row of each day follows from."""
    return {
        (stay, state_date): values
        for stay, state_date, *values in connection.execute(
            """
            select assignment_id, state_date, population, degree_days, root_drift
            from anchorline_intermediate.int_smoothing_days
            """
        ).fetchall()
    }


def _batches(connection: psycopg.Connection) -> list[int]:
    rows = connection.execute("select batch_id from anchorline_staging.stg_batches").fetchall()
    return sorted(row[0] for row in rows)


def _reached_by_fish_of(connection: psycopg.Connection, assignment: int) -> set[int]:
    """Return an assignment and all to which fish of it have come."""
    return {
        row[0]
        for row in connection.execute(
            """
            with recursive reached as (
                select %s::bigint as assignment_id

                union

                select movements.to_assignment_id
                from reached
                inner join anchorline_intermediate.int_movements as movements
                    on reached.assignment_id = movements.from_assignment_id
                where movements.to_assignment_id is not null
            )

            select assignment_id from reached
            """,
            (assignment,),
        ).fetchall()
    }


def _lineage_of(connection: psycopg.Connection, assignment: int) -> set[int]:
    return {
        row[0]
        for row in connection.execute(
            """
            select mates.assignment_id
            from anchorline_intermediate.int_assignments as own
            inner join anchorline_intermediate.int_lineages as lineage using (batch_id)
            inner join anchorline_intermediate.int_lineages as others using (lineage_id)
            inner join anchorline_intermediate.int_assignments as mates
                on others.batch_id = mates.batch_id
            where own.assignment_id = %s
            """,
            (assignment,),
        ).fetchall()
    }
