"""What spoils the marts of the demo farm, and which expectation must see it."""

# ruff: noqa: S608
# The SQL that spoils a copy is put together from constants of this file.

from __future__ import annotations

DAYS = "anchorline_marts.daily_assignment_states"
ANCHORS = "anchorline_marts.weight_anchors"
RECONCILED = "anchorline_marts.population_reconciliation"
SMOOTHED = "anchorline_marts.daily_assignment_smoothed"
SMOOTHED_BATCHES = "anchorline_marts.daily_batch_smoothed"
PRODUCTION = "anchorline_marts.production_figures"
CAUSES = "anchorline_marts.mortality_by_cause"
FORECASTS = "anchorline_intermediate.int_forecast_days"
HARVESTS = "anchorline_marts.harvest_reconciliation"


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
    (
        # the last one: the first one's day is dropped above, and all are tried together, too
        "every_measurement_is_an_anchor_or_rejected",
        drop(ANCHORS, "anchor_type = 'growth_sample'", "ctid desc"),
    ),
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
    ("every_state_has_its_smoothed_weight", drop(SMOOTHED)),
    ("every_state_has_its_smoothed_weight", change(SMOOTHED, "population = population + 1")),
    (
        "smoothed_band_of_an_assignment_holds_its_weight",
        change(SMOOTHED, "smoothed_weight_low_g = 99999"),
    ),
    (
        "smoothed_band_of_an_assignment_holds_its_weight",
        change(SMOOTHED, "state_date = state_date + 5000"),
    ),
    (
        "smoothed_band_of_a_batch_holds_its_weight",
        change(SMOOTHED_BATCHES, "smoothed_weight_high_g = null"),
    ),
    (
        "smoothed_band_of_an_assignment_holds_its_weight",
        change(SMOOTHED, "smoothed_weight_g = 0, smoothed_weight_low_g = 0", order="state_date"),
    ),
    (
        "smoothed_band_of_a_batch_holds_its_weight",
        change(SMOOTHED_BATCHES, "smoothed_weight_g = 0, smoothed_weight_low_g = 0"),
    ),
    (
        "smoothed_batch_day_is_the_mean_of_its_assignments",
        change(SMOOTHED_BATCHES, "smoothed_weight_g = smoothed_weight_g + 0.0002"),
    ),
    (
        "smoothed_batch_day_is_the_mean_of_its_assignments",
        change(SMOOTHED_BATCHES, "smoothed_weight_low_g = null", "smoothed_weight_g > 0"),
    ),
    ("smoothed_batch_day_is_the_mean_of_its_assignments", drop(SMOOTHED_BATCHES)),
    (
        "suspicion_follows_from_the_innovation",
        change(ANCHORS, "is_suspect = not is_suspect", "abs(innovation) < 2"),
    ),
    (
        "suspicion_follows_from_the_innovation",
        change(ANCHORS, "innovation = -4", "not is_suspect"),
    ),
    (
        "suspicion_follows_from_the_innovation",
        change(ANCHORS, "expected_weight_low_g = expected_weight_high_g", "innovation < 0"),
    ),
    (
        "growth_analysis_says_each_thing_once",
        "insert into anchorline_intermediate.int_samples "
        "select * from anchorline_intermediate.int_samples limit 1",
    ),
    (
        "growth_analysis_says_each_thing_once",
        "insert into anchorline_intermediate.int_plan_days "
        "select * from anchorline_intermediate.int_plan_days limit 1",
    ),
    ("forecast_goes_on_day_by_day", drop(FORECASTS, "days_ahead = 7")),
    (
        "forecast_goes_on_day_by_day",
        change(FORECASTS, "population = population + 100000", "days_ahead = 7"),
    ),
    (
        "forecast_goes_on_day_by_day",
        change(FORECASTS, "root = root + 1", "days_ahead = 7 and root > 1"),
    ),
    ("production_closes_in_fish_and_biomass", change(PRODUCTION, "end_population = 7")),
    (
        "production_closes_in_fish_and_biomass",
        change(PRODUCTION, "reset_kg = reset_kg + 0.01", "assignment_id is null"),
    ),
    (
        "production_fcr_is_feed_over_growth",
        change(PRODUCTION, "economic_fcr = economic_fcr + 0.003", "economic_fcr < 5"),
    ),
    (
        "production_fcr_is_feed_over_growth",
        change(
            PRODUCTION,
            "biological_fcr = economic_fcr",
            "biological_fcr < economic_fcr - 0.003 and period_type = 'life'",
        ),
    ),
    (
        "production_fcr_is_feed_over_growth",
        change(PRODUCTION, "fcr_band = 'poor'", "economic_fcr < 1.5"),
    ),
    (
        "production_figures_lie_within_their_ranges",
        change(PRODUCTION, "days_covered = 8", "period_type = 'week'"),
    ),
    (
        "production_figures_lie_within_their_ranges",
        change(PRODUCTION, "survival_percent = survival_percent - 1", "survival_percent > 1"),
    ),
    (
        "production_figures_lie_within_their_ranges",
        change(PRODUCTION, "density_kg_per_m3 = -1", "assignment_id is null"),
    ),
    (
        "causes_of_death_add_up_to_the_deaths",
        change(CAUSES, "mortality_count = mortality_count + 1"),
    ),
    ("causes_of_death_add_up_to_the_deaths", drop(CAUSES, "assignment_id is null")),
    (
        "harvest_reconciliation_adds_up",
        change(HARVESTS, "harvested_count = harvested_count + 1", "assignment_id > 0"),
    ),
    (
        "harvest_reconciliation_adds_up",
        change(HARVESTS, "number_error = number_error + 1", "number_error is not null"),
    ),
    (
        "harvest_reconciliation_adds_up",
        change(
            HARVESTS, "suspect_anchor_count = suspect_anchor_count + 1", "assignment_id is null"
        ),
    ),
    ("harvest_reconciliation_adds_up", drop(HARVESTS)),
]
