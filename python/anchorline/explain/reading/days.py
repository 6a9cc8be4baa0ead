"""A whole day: a state with everything behind it, or what left on a day without one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import date
from typing import Any

from anchorline.errors import AnchorlineError
from anchorline.explain.facts import (
    Anchor,
    Before,
    DeathRecord,
    Departure,
    Engine,
    Published,
    Reconciliation,
    Ref,
    Rules,
    StateDay,
    Stay,
)
from anchorline.explain.reader import (
    ASSIGNMENT_TABLE,
    ONE_DAY,
    START_WEIGHT_FROM,
    Reader,
    Row,
    as_float,
)
from anchorline.explain.reading.deaths import read_death_records, read_deaths
from anchorline.explain.reading.feeding import read_feed
from anchorline.explain.reading.measurements import read_measurements
from anchorline.explain.reading.movements import read_movements, read_passing_legs
from anchorline.explain.reading.parameters import read_parameters
from anchorline.explain.reading.temperatures import read_temperature
from anchorline.explain.reading.unused import read_unused_records, with_reasons


def read_state_day(reader: Reader, stay: Stay, day: date, rules: Rules) -> StateDay:
    """Read everything behind one state."""
    row = reader.row(
        """
        select
            published.*,
            states.population as engine_population,
            states.weight_g,
            states.mortality_carry,
            states.stayed_count,
            states.mixed_weight_g,
            states.modelled_weight_g,
            states.is_arrival_inferred as engine_is_arrival_inferred,
            states.is_death_record_rejected,
            inputs.temp_c as input_temp_c,
            inputs.period_start_day,
            inputs.recorded_deaths,
            inputs.batch_deaths,
            inputs.anchor_weight_g,
            inputs.anchor_confidence,
            inputs.cap_weight_g,
            inputs.feed_kg as own_feed_kg,
            inputs.container_feed_kg
        from {marts}.daily_assignment_states as published
        inner join {intermediate}.int_growth_states as states
            on
                published.assignment_id = states.assignment_id
                and published.state_date = states.state_date
        inner join {intermediate}.int_growth_inputs as inputs
            on
                published.assignment_id = inputs.assignment_id
                and published.state_date = inputs.state_date
        where published.assignment_id = %(assignment_id)s and published.state_date = %(day)s
        """,
        assignment_id=stay.assignment_id,
        day=day,
    )
    if row is None:
        raise AnchorlineError(
            f"There is no state of batch {stay.batch_number} in {stay.container_name} on {day}, "
            "though its assignment is active that day: the models are not of one build. "
            "Run `dbt build`."
        )
    before = read_before(reader, stay, day)
    measurements = read_measurements(reader, stay, day)
    records, unused_deaths = read_death_records(reader, stay, day)
    unused = [*read_unused_records(reader, stay, day), *unused_deaths]
    anchor = None
    if row["anchor_weight_g"] is not None:
        anchor = Anchor(
            row["anchor_type"], row["anchor_weight_g"], as_float(row["anchor_confidence"])
        )
    return StateDay(
        stay=stay,
        state_date=day,
        rules=rules,
        before=before,
        movements=read_movements(reader, stay, day, by_departure=False),
        deaths=read_deaths(reader, stay, day, row, records),
        temperature=read_temperature(reader, stay, day, row, rules),
        parameters=read_parameters(reader, stay, row, before, rules.growth_formula),
        anchor=anchor,
        measurements=measurements,
        feed=read_feed(reader, stay, day, row),
        unused=with_reasons(reader, unused),
        confidences=read_confidences(reader),
        engine=Engine(
            population=row["engine_population"],
            weight_g=row["weight_g"],
            mortality_carry=row["mortality_carry"],
            stayed_count=row["stayed_count"],
            arrived_count=row["arrived_count"],
            departed_count=row["departed_count"],
            mortality_count=row["mortality_count"],
            count_adjustment=row["count_adjustment"],
            mixed_weight_g=row["mixed_weight_g"],
            modelled_weight_g=row["modelled_weight_g"],
            weight_source=row["weight_source"],
            is_arrival_inferred=row["engine_is_arrival_inferred"],
        ),
        published=_published(row),
    )


def read_departure(reader: Reader, stay: Stay, day: date) -> Departure:
    """Read what left on a day without a state."""
    is_passing = stay.departure_date == stay.assignment_date
    is_departure = stay.departure_date == day
    records, unused_deaths = read_death_records(reader, stay, day)
    before = None if is_passing else read_before(reader, stay, stay.last_active_date + ONE_DAY)
    reconciled = None
    if is_departure and not is_passing:
        row = reader.row(
            """
            select
                departure_transferred_count as transferred_count,
                departure_inferred_count as inferred_count,
                departure_transfer_mortality_count as transfer_mortality_count,
                departure_harvested_count as harvested_count,
                departure_mortality_count as mortality_count,
                departure_left_count as left_count,
                departure_count_adjustment as count_adjustment
            from {marts}.population_reconciliation
            where assignment_id = %(assignment_id)s and departure_left_count is not null
            """,
            assignment_id=stay.assignment_id,
        )
        reconciled = Reconciliation(**row) if row else None
    if is_passing:
        movements = read_passing_legs(reader, stay, day)
    else:
        last_day = stay.departure_date or day
        movements = tuple(
            movement
            for movement in read_movements(reader, stay, last_day, by_departure=True)
            if movement.direction == "out"
        )
    unused = [*read_unused_records(reader, stay, day), *unused_deaths]
    return Departure(
        stay=stay,
        state_date=day,
        kind="passing_through" if is_passing else "departure" if is_departure else "in_transit",
        before=before,
        movements=movements,
        death_count=counted_deaths(records),
        deaths=records,
        measurements=read_measurements(reader, stay, day),
        unused=with_reasons(reader, unused),
        reconciliation=reconciled,
    )


def counted_deaths(records: Sequence[DeathRecord]) -> int:
    """Add up the records of the assignment that count."""
    return sum(
        record.death_count or 0 for record in records if record.is_used and not record.is_for_batch
    )


def read_before(reader: Reader, stay: Stay, day: date) -> Before:
    """Read the state of the day before, or row 0."""
    row = reader.row(
        """
        select
            states.*,
            false as is_row_zero,
            stages.lifecycle_stage_name
        from {intermediate}.int_growth_states as states
        left join {marts}.lifecycle_stages as stages
            on states.lifecycle_stage_id = stages.lifecycle_stage_id
        where states.assignment_id = %(assignment_id)s and states.state_date = %(before)s
        """,
        assignment_id=stay.assignment_id,
        before=day - ONE_DAY,
    )
    if row is not None:
        return Before(
            state_date=row["state_date"],
            population=row["population"],
            weight_g=row["weight_g"],
            mortality_carry=row["mortality_carry"],
            lifecycle_stage_id=row["lifecycle_stage_id"],
            lifecycle_stage_name=row["lifecycle_stage_name"] or str(row["lifecycle_stage_id"]),
            is_row_zero=False,
            is_arrival_inferred=row["is_arrival_inferred"],
            refs=(Ref.of(ASSIGNMENT_TABLE, stay.assignment_id),),
        )
    row = reader.row(
        """
        select
            starts.*,
            stocking.start_weight_source,
            stages.lifecycle_stage_name
        from {intermediate}.int_growth_starts as starts
        inner join {intermediate}.int_stocking as stocking
            on starts.assignment_id = stocking.assignment_id
        left join {marts}.lifecycle_stages as stages
            on starts.lifecycle_stage_id = stages.lifecycle_stage_id
        where starts.state_date = %(before)s and starts.assignment_id = %(assignment_id)s
        """,
        assignment_id=stay.assignment_id,
        before=day - ONE_DAY,
    )
    if row is None:
        raise AnchorlineError(
            f"Batch {stay.batch_number} in {stay.container_name} has neither a state nor a start "
            f"on {day - ONE_DAY}: the models are not of one build. Run `dbt build`."
        )
    return Before(
        state_date=row["state_date"],
        population=row["population"],
        weight_g=row["weight_g"],
        mortality_carry=row["mortality_carry"],
        lifecycle_stage_id=row["lifecycle_stage_id"],
        lifecycle_stage_name=row["lifecycle_stage_name"] or str(row["lifecycle_stage_id"]),
        is_row_zero=True,
        is_arrival_inferred=row["is_arrival_inferred"],
        weight_from=START_WEIGHT_FROM[row["start_weight_source"]],
        refs=(Ref.of(ASSIGNMENT_TABLE, stay.assignment_id),),
    )


def read_confidences(reader: Reader) -> dict[str, dict[str, float]]:
    """Read the confidence of each source, by quantity and source."""
    found: dict[str, dict[str, float]] = {}
    for row in reader.rows("select quantity, source, confidence from {seeds}.confidence_by_source"):
        found.setdefault(row["quantity"], {})[row["source"]] = float(row["confidence"])
    return found


def _published(row: Row) -> Published:
    decimals = {
        "avg_weight_g",
        "biomass_kg",
        "temp_c",
        "feed_kg",
        "gain_kg",
        "observed_fcr",
        *(f"{name}_confidence" for name in ("temp", "mortality", "feed", "weight", "fcr")),
    }
    values: dict[str, Any] = {
        entry.name: as_float(row[entry.name]) if entry.name in decimals else row[entry.name]
        for entry in fields(Published)
    }
    return Published(**values)
