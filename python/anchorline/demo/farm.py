"""The farm, lineage by lineage: planned, lived through, observed, written, forgotten."""

from __future__ import annotations

from calendar import isleap
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any, Final

import numpy as np
import psycopg

from anchorline.demo import ops
from anchorline.demo.batch_plan import plan_batch
from anchorline.demo.biology import ADULT, STAGES
from anchorline.demo.deaths import DeathRecords
from anchorline.demo.features import assign_features, batch_ages, lineage_pair
from anchorline.demo.feed_and_water import write_feed, write_readings
from anchorline.demo.movements import MovementRecords
from anchorline.demo.plan import BatchPlan, LineagePlan, day_number, to_date
from anchorline.demo.planning import Planning
from anchorline.demo.registry import Records
from anchorline.demo.scenarios import Scenarios
from anchorline.demo.sites import ContainerPool, add_sites
from anchorline.demo.special_plan import add_specials, join_batches
from anchorline.demo.trouble import Trouble, plan_trouble, treatment_day
from anchorline.demo.truth import Truth, simulate
from anchorline.demo.truth_tables import TRUTH_TYPES, FarmParameters, write_daily_states
from anchorline.demo.weights import WeightRecords
from anchorline.demo.writing import Writer, at_hour

Progress = Callable[[int, int, str], None]
"""Called with the batches done, the batches to do, and what comes next."""

_LIFE_DAYS_EXPECTED: Final = 900
_PLANNING, _LIVING, _OBSERVING, _READING = range(4)
"""Streams of random numbers: that of the readings comes last, so that a farm without
readings is the same farm."""


class Farm:
    """Makes and writes a farm; what it remembers does not grow with the days."""

    def __init__(
        self,
        conn: psycopg.Connection[Any],
        parameters: FarmParameters,
        writer: Writer,
        ops_schema: str,
        progress: Progress,
    ) -> None:
        self._conn = conn
        self._parameters = parameters
        self._writer = writer
        self._ops_schema = ops_schema
        self._progress = progress
        self._records = Records()
        self._scenarios = Scenarios(self._records, parameters.as_of)
        self._planning = Planning(self._records, parameters.as_of, self._scenarios.templates)
        self._pool = ContainerPool(self._records, self._rng(2**31, 0))
        self._horizon_day = day_number(parameters.as_of) + 1
        self._foreign_assignment_id = 0

    def _rng(self, unit: int, stream: int) -> np.random.Generator:
        return np.random.default_rng([self._parameters.seed, unit, stream])

    def write(self) -> None:
        """Write all batches, the MIXED one among them, and the batch with bad rows."""
        ages = batch_ages(self._parameters.batches)
        features = assign_features(ages)
        add_sites(self._records)
        self._scenarios.add_farm_wide()
        self._planning.add_farm_wide()
        done = 0
        for unit in _units(ages):
            self._progress(done, len(ages), f"batch {done + 1} of {len(ages)}")
            plan = LineagePlan(self._horizon_day)
            rng = self._rng(unit[0], _PLANNING)
            for index in unit:
                batch = plan_batch(
                    plan,
                    self._records,
                    self._pool,
                    rng,
                    index=index,
                    start_day=self._horizon_day - 1 - ages[index],
                    features=frozenset(features[index]),
                )
                add_specials(plan, batch)
            if len(unit) == 2:
                join_batches(plan, self._records, *plan.batches)
            self._write_lineage(plan, unit[0])
            self._remember_foreign_assignment(plan)
            done += len(unit)
        self._write_trouble(len(ages))
        ops.let_ids_follow(self._conn, self._ops_schema)
        self._progress(done, len(ages), "indexes and keys")

    def _remember_foreign_assignment(self, plan: LineagePlan) -> None:
        day = treatment_day(self._horizon_day)
        for stay in plan.stays:
            if stay.first_day <= day < stay.end_day(self._horizon_day) and not stay.is_vessel:
                self._foreign_assignment_id = stay.assignment_id

    def _write_trouble(self, index: int) -> None:
        plan = LineagePlan(self._horizon_day)
        batch = plan_trouble(plan, self._records, self._pool, index)
        trouble = Trouble(batch, self._records, self._pool)
        trouble.add(
            self._foreign_assignment_id,
            self._horizon_day - 1,
            readings=self._parameters.readings,
        )
        self._write_lineage(plan, index)

    def _write_lineage(self, plan: LineagePlan, unit: int) -> None:
        records, writer = self._records, self._writer
        truth = simulate(plan, self._rng(unit, _LIVING))
        rng = self._rng(unit, _OBSERVING)
        for batch in plan.batches:
            self._add_batch(plan, batch)
        deaths = DeathRecords(plan, truth, records, rng)
        deaths.write(writer)
        weights = WeightRecords(plan, truth, records, rng)
        weights.add()
        self._planning.complete(plan)
        MovementRecords(plan, records, rng, deaths.booked(), self._scenarios.of_batch).add(
            weights.newest
        )
        write_feed(plan, truth, records, writer, rng)
        if self._parameters.readings:
            write_readings(
                plan,
                truth,
                records,
                writer,
                self._rng(unit, _READING),
                self._parameters.readings_per_day,
            )
        write_daily_states(plan, truth, writer)
        self._add_mix_records(plan, truth)
        ops.add_rows(self._conn, self._ops_schema, weights.ops_rows, records)
        writer.flush(records, TRUTH_TYPES)

    def _add_batch(self, plan: LineagePlan, batch: BatchPlan) -> None:
        stocked_count = sum(
            move.recorded_count
            for move in plan.moves
            if move.kind == "stocking" and move.dest is not None and move.dest.batch is batch
        )
        pinned_run_id = self._scenarios.add_batch(batch, stocked_count)
        self._planning.add_batch(batch, self._scenarios.of_batch.get(batch.batch_id))
        newest_stage = max(stay.stage for stay in batch.stays)
        is_over = batch.end_day is not None
        self._records.add(
            "batch_batch",
            id=batch.batch_id,
            batch_number=batch.batch_number,
            status="COMPLETED" if is_over else "ACTIVE",
            start_date=to_date(batch.start_day),
            expected_end_date=to_date(batch.start_day + _LIFE_DAYS_EXPECTED),
            actual_end_date=None if batch.end_day is None else to_date(batch.end_day),
            lifecycle_stage_id=STAGES[newest_stage].stage_id,
            species_id=1,
            batch_type=batch.batch_type,
            pinned_projection_run_id=pinned_run_id,
        )
        last_day = self._horizon_day - 1 if batch.end_day is None else batch.end_day
        if _holds_leap_day(to_date(batch.start_day), to_date(last_day)):
            self._records.case("leap_day", "batch_batch", batch.batch_id)

    def _add_mix_records(self, plan: LineagePlan, truth: Truth) -> None:
        """Add what the operational system notes about a MIXED batch: where its fish are from."""
        for batch in plan.batches:
            if batch.batch_type != "MIXED":
                continue
            stay = batch.stays[0]
            parts = [move for move in plan.moves if move.dest is stay]
            total = sum(move.moved_count for move in parts)
            weight_g, _ = truth.at(stay.index, stay.first_day)
            event_id = self._records.add(
                "batch_batchmixevent",
                mixed_at=at_hour(batch.start_day, 11),
                container_id=stay.container.container_id,
                mixed_batch_id=batch.batch_id,
            )
            for move in parts:
                source = move.source or stay
                share: dict[str, Any] = {
                    "population_count": move.moved_count,
                    "percentage": round(100.0 * move.moved_count / max(total, 1), 2),
                    "biomass_kg": move.moved_count * weight_g / 1000.0,
                    "source_batch_id": source.batch.batch_id,
                }
                self._records.add("batch_batchcomposition", mixed_batch_id=batch.batch_id, **share)
                self._records.add(
                    "batch_batchmixeventcomponent",
                    mix_event_id=event_id,
                    source_assignment_id=source.assignment_id,
                    is_transferred_in=source.stage == ADULT
                    and source.container is not stay.container,
                    **share,
                )


def _units(ages: list[int]) -> Iterator[tuple[int, ...]]:
    """Yield the batches that are simulated together: one, or the two whose fish meet."""
    pair = lineage_pair(ages)
    for index in range(len(ages)):
        if pair is not None and index == pair[0]:
            yield pair
        elif pair is None or index not in pair:
            yield (index,)


def _holds_leap_day(first: date, last: date) -> bool:
    """Tell whether a 29th of February lies between two days."""
    return any(
        first <= date(year, 2, 29) <= last
        for year in range(first.year, last.year + 1)
        if isleap(year)
    )
