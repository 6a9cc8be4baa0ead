-- One row per batch, period between model changes and lifecycle stage of the batch's species: the
-- parameters of the scenario in force.
-- The hook reads, too:
-- depends_on: {{ ref('plausible_ranges') }}
-- depends_on: {{ ref('int_scenario_periods') }}
-- depends_on: {{ ref('int_lifecycle_stage_order') }}
{{ config(
    meta={'examined_by': ['batch_id']},
    indexes=[
        {'columns': ['batch_id']},
    ],
    post_hook="{{ refuse_implausible_power_law() }}",
) }}

select
    batch_id,
    period_start_day,
    lifecycle_stage_id,
    next_lifecycle_stage_id,
    tgc,
    exponent_n,
    exponent_m,
    daily_mortality_rate,
    min_weight_g,
    max_weight_g
from {{ examined('int_plan_parameters') }}
where is_in_force
