-- One row per batch, container (null: the whole batch), day and series; of the series `scenario`
-- one per scenario, of `sample` one per kind of sample. A view: the figures stand in other marts
-- already, and a condition on batch and day reaches their indexes.
{{ config(materialized='view') }}

with daily_assignment_states as (
    select * from {{ ref('daily_assignment_states') }}
),

daily_batch_states as (
    select * from {{ ref('daily_batch_states') }}
),

daily_assignment_smoothed as (
    select * from {{ ref('daily_assignment_smoothed') }}
),

daily_batch_smoothed as (
    select * from {{ ref('daily_batch_smoothed') }}
),

-- (Read twice, and yet by the days that are asked for alone.)
forecast_daily as not materialized (
    select * from {{ ref('forecast_daily') }}
),

forecast_starts as (
    select * from {{ ref('int_forecast_starts') }}
),

plan_days as (
    select * from {{ ref('int_plan_days') }}
),

plans as (
    select * from {{ ref('int_plans') }}
),

plans_in_force as (
    select * from {{ ref('int_plans') }} where is_in_force
),

samples as (
    select * from {{ ref('int_samples') }}
),

batches as (
    select * from {{ ref('batches') }}
),

containers as (
    select * from {{ ref('containers') }}
),

lifecycle_stages as (
    select * from {{ ref('lifecycle_stages') }}
),

actual_of_containers as (
    select
        batch_id,
        batch_number,
        container_id,
        container_name,
        state_date,
        'actual' as series,
        null::bigint as scenario_id,
        null::text as scenario_name,
        null::boolean as is_pinned,
        lifecycle_stage_name,
        avg_weight_g,
        null::numeric(12, 4) as weight_low_g,
        null::numeric(12, 4) as weight_high_g,
        population,
        biomass_kg,
        weight_confidence as confidence,
        weight_source as source,
        anchor_type is not null as is_anchor,
        null::text as sample_type,
        null::bigint as sample_size,
        null::numeric(12, 4) as std_deviation_weight_g,
        null::numeric(6, 3) as condition_factor,
        is_provisional
    from daily_assignment_states
    where container_id is not null
),

actual_of_batches as (
    select
        batch_id,
        batch_number,
        null::bigint as container_id,
        null::text as container_name,
        state_date,
        'actual' as series,
        null::bigint as scenario_id,
        null::text as scenario_name,
        null::boolean as is_pinned,
        lifecycle_stage_name,
        avg_weight_g,
        null::numeric(12, 4) as weight_low_g,
        null::numeric(12, 4) as weight_high_g,
        population,
        biomass_kg,
        lowest_weight_confidence as confidence,
        'containers' as source,
        anchor_count > 0 as is_anchor,
        null::text as sample_type,
        null::bigint as sample_size,
        null::numeric(12, 4) as std_deviation_weight_g,
        null::numeric(6, 3) as condition_factor,
        is_provisional
    from daily_batch_states
),

smoothed_of_containers as (
    select
        batch_id,
        batch_number,
        container_id,
        container_name,
        state_date,
        'smoothed' as series,
        null::bigint as scenario_id,
        null::text as scenario_name,
        null::boolean as is_pinned,
        null::text as lifecycle_stage_name,
        smoothed_weight_g as avg_weight_g,
        smoothed_weight_low_g as weight_low_g,
        smoothed_weight_high_g as weight_high_g,
        population,
        smoothed_biomass_kg as biomass_kg,
        null::double precision as confidence,
        case
            when is_observed then 'measured'
            when days_to_next_observation is not null then 'interpolated'
            else 'extrapolated'
        end as source,
        is_observed as is_anchor,
        null::text as sample_type,
        null::bigint as sample_size,
        null::numeric(12, 4) as std_deviation_weight_g,
        null::numeric(6, 3) as condition_factor,
        null::boolean as is_provisional
    from daily_assignment_smoothed
    where container_id is not null
),

smoothed_of_batches as (
    select
        batch_id,
        batch_number,
        null::bigint as container_id,
        null::text as container_name,
        state_date,
        'smoothed' as series,
        null::bigint as scenario_id,
        null::text as scenario_name,
        null::boolean as is_pinned,
        null::text as lifecycle_stage_name,
        smoothed_weight_g as avg_weight_g,
        smoothed_weight_low_g as weight_low_g,
        smoothed_weight_high_g as weight_high_g,
        population,
        smoothed_biomass_kg as biomass_kg,
        null::double precision as confidence,
        'containers' as source,
        observed_container_count > 0 as is_anchor,
        null::text as sample_type,
        null::bigint as sample_size,
        null::numeric(12, 4) as std_deviation_weight_g,
        null::numeric(6, 3) as condition_factor,
        null::boolean as is_provisional
    from daily_batch_smoothed
),

scenario as (
    select
        plan_days.batch_id,
        batches.batch_number,
        null::bigint as container_id,
        null::text as container_name,
        plan_days.state_date,
        'scenario' as series,
        plan_days.scenario_id,
        plans.scenario_name,
        plan_days.is_pinned,
        lifecycle_stages.lifecycle_stage_name,
        plan_days.weight_g::numeric(12, 4) as avg_weight_g,
        null::numeric(12, 4) as weight_low_g,
        null::numeric(12, 4) as weight_high_g,
        plan_days.population,
        (plan_days.population * plan_days.weight_g / 1000)::numeric(14, 2) as biomass_kg,
        null::double precision as confidence,
        plan_days.plan_source as source,
        false as is_anchor,
        null::text as sample_type,
        null::bigint as sample_size,
        null::numeric(12, 4) as std_deviation_weight_g,
        null::numeric(6, 3) as condition_factor,
        false as is_provisional
    from plan_days
    left join plans
        on
            plan_days.batch_id = plans.batch_id
            and plan_days.scenario_id is not distinct from plans.scenario_id
    left join batches on plan_days.batch_id = batches.batch_id
    left join lifecycle_stages
        on plan_days.lifecycle_stage_id = lifecycle_stages.lifecycle_stage_id
),

forecast_of_containers as (
    select
        forecast_daily.batch_id,
        forecast_daily.batch_number,
        forecast_daily.container_id,
        forecast_daily.container_name,
        forecast_daily.state_date,
        'forecast' as series,
        plans_in_force.scenario_id,
        plans_in_force.scenario_name,
        plans_in_force.is_pinned,
        forecast_daily.lifecycle_stage_name,
        forecast_daily.forecast_weight_g as avg_weight_g,
        forecast_daily.forecast_weight_low_g as weight_low_g,
        forecast_daily.forecast_weight_high_g as weight_high_g,
        forecast_daily.population,
        forecast_daily.forecast_biomass_kg as biomass_kg,
        null::double precision as confidence,
        'extrapolated' as source,
        false as is_anchor,
        null::text as sample_type,
        null::bigint as sample_size,
        null::numeric(12, 4) as std_deviation_weight_g,
        null::numeric(6, 3) as condition_factor,
        null::boolean as is_provisional
    from forecast_daily
    left join plans_in_force on forecast_daily.batch_id = plans_in_force.batch_id
    where forecast_daily.container_id is not null
),

open_assignments as (
    select
        batch_id,
        count(*) as assignment_count
    from forecast_starts
    group by batch_id
),

-- The errors of a batch's containers are taken as one, as in hindsight.
combined_forecasts as (
    select
        batch_id,
        state_date,
        count(*) as assignment_count,
        sum(population)::bigint as population,
        sum(population * forecast_weight_g) as weight_sum,
        sum(population * forecast_weight_low_g) as weight_low_sum,
        sum(population * forecast_weight_high_g) as weight_high_sum,
        sum(forecast_biomass_kg) as biomass_kg
    from forecast_daily
    group by batch_id, state_date
),

-- Only while all open assignments have one: without its largest fish, whose forecasts end first,
-- the batch would seem to shrink.
forecast_of_batches as (
    select
        combined_forecasts.batch_id,
        batches.batch_number,
        null::bigint as container_id,
        null::text as container_name,
        combined_forecasts.state_date,
        'forecast' as series,
        plans_in_force.scenario_id,
        plans_in_force.scenario_name,
        plans_in_force.is_pinned,
        null::text as lifecycle_stage_name,
        (combined_forecasts.weight_sum / nullif(combined_forecasts.population, 0))
        ::numeric(12, 4) as avg_weight_g,
        (combined_forecasts.weight_low_sum / nullif(combined_forecasts.population, 0))
        ::numeric(12, 4) as weight_low_g,
        (combined_forecasts.weight_high_sum / nullif(combined_forecasts.population, 0))
        ::numeric(12, 4) as weight_high_g,
        combined_forecasts.population,
        combined_forecasts.biomass_kg::numeric(14, 2) as biomass_kg,
        null::double precision as confidence,
        'containers' as source,
        false as is_anchor,
        null::text as sample_type,
        null::bigint as sample_size,
        null::numeric(12, 4) as std_deviation_weight_g,
        null::numeric(6, 3) as condition_factor,
        null::boolean as is_provisional
    from combined_forecasts
    inner join open_assignments
        on
            combined_forecasts.batch_id = open_assignments.batch_id
            and combined_forecasts.assignment_count = open_assignments.assignment_count
    left join plans_in_force on combined_forecasts.batch_id = plans_in_force.batch_id
    left join batches on combined_forecasts.batch_id = batches.batch_id
),

sample as (
    select
        samples.batch_id,
        batches.batch_number,
        samples.container_id,
        containers.container_name,
        samples.sample_date as state_date,
        'sample' as series,
        null::bigint as scenario_id,
        null::text as scenario_name,
        null::boolean as is_pinned,
        null::text as lifecycle_stage_name,
        samples.weight_g::numeric(12, 4) as avg_weight_g,
        null::numeric(12, 4) as weight_low_g,
        null::numeric(12, 4) as weight_high_g,
        null::bigint as population,
        null::numeric(14, 2) as biomass_kg,
        samples.confidence,
        'measured' as source,
        samples.is_anchor,
        samples.sample_type,
        samples.sample_size,
        samples.std_deviation_weight_g::numeric(12, 4) as std_deviation_weight_g,
        samples.condition_factor::numeric(6, 3) as condition_factor,
        false as is_provisional
    from samples
    left join batches on samples.batch_id = batches.batch_id
    left join containers on samples.container_id = containers.container_id
),

final as (
    select * from actual_of_containers
    union all
    select * from actual_of_batches
    union all
    select * from smoothed_of_containers
    union all
    select * from smoothed_of_batches
    union all
    select * from scenario
    union all
    select * from forecast_of_containers
    union all
    select * from forecast_of_batches
    union all
    select * from sample
)

select * from final
