"""Weights measured on a day, from their raw values."""

from __future__ import annotations

from datetime import date

from anchorline.explain.equations import staying_weight_g
from anchorline.explain.facts import Measurement, Ref, Stay
from anchorline.explain.reader import ANCHOR_TABLES, Reader, Row


def read_measurements(reader: Reader, stay: Stay, day: date) -> tuple[Measurement, ...]:
    """Read the weights measured on the day, with their raw values, used or not."""
    rows = reader.rows(
        """
        select
            anchors.anchor_type,
            anchors.record_id,
            anchors.weight_g::double precision as published_weight_g,
            anchors.sample_size,
            anchors.anchor_status,
            anchors.exclusion_reason,
            exclusions.anchor_exclusion_id,
            exclusions.excluded_by,
            samples.avg_weight_g as sample_weight_g,
            transfers.measured_avg_weight_g,
            transfers.transferred_count,
            transfers.source_population_before,
            coalesce(transfers.selection_method, 'AVERAGE') as selection_method,
            factors.mean_weight_factor,
            staying.value as min_staying_share,
            samplings.health_sampling_event_id,
            samplings.avg_weight_g as sampling_weight_g,
            fish.fish_weight_g,
            fish.fish_count,
            fish.first_id,
            fish.last_id,
            manual_anchors.weight_g as manual_weight_g,
            manual_anchors.reason as manual_reason,
            manual_anchors.entered_by
        from {marts}.weight_anchors as anchors
        left join {staging}.stg_anchor_exclusions as exclusions
            on
                anchors.anchor_type = exclusions.anchor_type
                and anchors.record_id = exclusions.record_id
        left join {staging}.stg_growth_samples as samples
            on
                anchors.anchor_type = 'growth_sample'
                and anchors.record_id = samples.growth_sample_id
        left join {staging}.stg_transfer_actions as transfers
            on
                anchors.anchor_type = 'transfer'
                and anchors.record_id = transfers.transfer_action_id
        left join {seeds}.selection_factors as factors
            on
                anchors.anchor_type = 'transfer'
                and coalesce(transfers.selection_method, 'AVERAGE') = factors.selection_method
        left join {seeds}.growth_constants as staying on staying.constant = 'min_staying_share'
        left join {staging}.stg_treatments as treatments
            on
                anchors.anchor_type = 'vaccination'
                and anchors.record_id = treatments.treatment_id
        left join {staging}.stg_health_sampling_events as samplings
            on
                samplings.health_sampling_event_id = case anchors.anchor_type
                    when 'vaccination' then treatments.health_sampling_event_id
                    when 'health_sampling' then anchors.record_id
                end
        left join lateral (
            select
                avg(observations.weight_g::numeric)::double precision as fish_weight_g,
                count(*) as fish_count,
                min(observations.individual_fish_observation_id) as first_id,
                max(observations.individual_fish_observation_id) as last_id
            from {staging}.stg_individual_fish_observations as observations
            inner join {seeds}.plausible_ranges as ranges on ranges.quantity = 'weight'
            where
                observations.health_sampling_event_id = samplings.health_sampling_event_id
                and observations.weight_g > ranges.min_value
                and observations.weight_g <= ranges.max_value
        ) as fish on true
        left join {staging}.stg_manual_anchors as manual_anchors
            on
                anchors.anchor_type = 'manual'
                and anchors.record_id = manual_anchors.manual_anchor_id
        left join {seeds}.anchor_types as anchor_types
            on anchors.anchor_type = anchor_types.anchor_type
        where anchors.assignment_id = %(assignment_id)s and anchors.anchor_date = %(day)s
        order by anchor_types.precedence, anchors.record_id
        """,
        assignment_id=stay.assignment_id,
        day=day,
    )
    return tuple(_measurement(reader, row) for row in rows)


def _measurement(reader: Reader, row: Row) -> Measurement:
    kind = row["anchor_type"]
    refs = [
        Ref.of(
            f"{reader.prefix}_ops.manual_anchors" if kind == "manual" else ANCHOR_TABLES[kind],
            row["record_id"],
        )
    ]
    said = ""
    weight_g = row["published_weight_g"]
    if kind == "growth_sample":
        weight_g = row["sample_weight_g"]
    elif kind == "manual":
        weight_g = row["manual_weight_g"]
        said = f"{row['manual_reason']} (by {row['entered_by']})"
    elif kind == "transfer":
        measured, method = row["measured_avg_weight_g"], row["selection_method"]
        weight_g, is_derived = staying_weight_g(
            measured,
            row["transferred_count"],
            row["source_population_before"],
            float(row["mean_weight_factor"]),
            float(row["min_staying_share"]),
        )
        if method == "AVERAGE":
            said = "average fish were moved"
        else:
            before, moved = row["source_population_before"], row["transferred_count"]
            factor = float(row["mean_weight_factor"])
            mean = f"{measured:,.4f} x {factor:g}"
            said = f"the {method.lower()} {moved:,} were moved, {measured:,.4f} g; "
            said += (
                f"those that stay: ({before:,} x {mean} - {moved:,} x {measured:,.4f}) "
                f"/ {before - moved:,}"
                if is_derived
                else f"mean of all: {mean}"
            )
    elif row["health_sampling_event_id"] is not None:
        if kind == "vaccination":
            refs.append(Ref.of("health_healthsamplingevent", row["health_sampling_event_id"]))
        weight_g = row["sampling_weight_g"]
        said = "the sampling's mean"
        if row["fish_count"]:
            weight_g = row["fish_weight_g"]
            said = f"mean of {row['fish_count']:,} fish weighed"
            refs.append(
                Ref.span(
                    "health_individualfishobservation",
                    row["first_id"],
                    row["last_id"],
                    row["fish_count"],
                )
            )
    if row["anchor_status"] == "excluded":
        said = f"{row['exclusion_reason']} (by {row['excluded_by']})"
        refs.append(Ref.of(f"{reader.prefix}_ops.anchor_exclusions", row["anchor_exclusion_id"]))
    return Measurement(
        anchor_type=kind,
        record_id=row["record_id"],
        weight_g=weight_g,
        published_weight_g=row["published_weight_g"],
        sample_size=row["sample_size"],
        anchor_status=row["anchor_status"],
        said=said,
        refs=tuple(refs),
    )
