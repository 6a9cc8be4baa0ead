-- One row per open assignment: when its fish are expected to be harvested and transferred, and
-- whether that is planned.
{{ config(
    meta={'published_by': 'batches', 'published_also': 'examined'},
    indexes=[
        {'columns': ['assignment_id'], 'unique': true},
        {'columns': ['batch_id']},
    ],
) }}

with starts as (
    select * from {{ pending('int_forecast_starts', 'batches') }}
),

dates as (
    select * from {{ pending('int_forecast_dates', 'batches') }}
),

plan_days as (
    select * from {{ pending('int_plan_days', 'batches') }}
),

planned_activities as (
    select * from {{ ref('stg_planned_activities') }}
    where activity_status in ('PENDING', 'IN_PROGRESS')
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

harvest_sizes as (
    select distinct
        batch_id,
        harvest_weight_g
    from starts
),

planned_harvests as (
    select
        harvest_sizes.batch_id,
        min(plan_days.state_date) as planned_harvest_date
    from harvest_sizes
    inner join plan_days
        on
            harvest_sizes.batch_id = plan_days.batch_id
            and plan_days.weight_g >= harvest_sizes.harvest_weight_g - 1e-9
    where plan_days.is_in_force
    group by harvest_sizes.batch_id
),

-- An activity without container is one of the whole batch.
planned as (
    select
        starts.assignment_id,
        coalesce(bool_or(planned_activities.activity_type = 'HARVEST'), false)
            as has_planned_harvest,
        coalesce(bool_or(planned_activities.activity_type = 'TRANSFER'), false)
            as has_planned_transfer
    from starts
    left join planned_activities
        on
            starts.batch_id = planned_activities.batch_id
            and coalesce(starts.container_id = planned_activities.container_id, true)
    group by starts.assignment_id
),

attended as (
    select
        starts.*,
        dates.last_forecast_date,
        dates.expected_harvest_date,
        dates.harvest_date_p10,
        dates.harvest_date_p90,
        dates.expected_harvest_weight_g,
        dates.expected_harvest_population,
        dates.transfer_weight_g,
        dates.expected_transfer_date,
        dates.expected_transfer_weight_g,
        dates.expected_transfer_population,
        planned_harvests.planned_harvest_date,
        planned.has_planned_harvest,
        planned.has_planned_transfer,
        coalesce(
            dates.expected_harvest_date - starts.computed_date
            <= {{ forecast_constant('attention_days') }}
            and not planned.has_planned_harvest,
            false
        )
        or coalesce(
            dates.expected_transfer_date - starts.computed_date
            <= {{ forecast_constant('attention_days') }}
            and not planned.has_planned_transfer,
            false
        ) as needs_attention
    from starts
    inner join dates on starts.assignment_id = dates.assignment_id
    inner join planned on starts.assignment_id = planned.assignment_id
    left join planned_harvests on starts.batch_id = planned_harvests.batch_id
),

final as (
    select
        -- which
        attended.batch_id,
        batches.batch_number,
        attended.assignment_id,
        attended.container_id,
        containers.container_name,
        attended.computed_date,
        attended.last_forecast_date,

        -- the fish on the day of the forecast
        attended.lifecycle_stage_id,
        lifecycle_stages.lifecycle_stage_name,
        attended.weight_g::numeric(12, 4) as smoothed_weight_g,
        attended.population,
        (attended.population * attended.weight_g / 1000)::numeric(14, 2)
            as smoothed_biomass_kg,
        attended.temperature_bias_c::numeric(5, 2) as temperature_bias_c,

        -- harvest
        attended.harvest_weight_g::numeric(12, 4) as harvest_weight_g,
        attended.expected_harvest_date,
        attended.harvest_date_p10,
        attended.harvest_date_p90,
        attended.expected_harvest_weight_g::numeric(12, 4) as expected_harvest_weight_g,
        attended.expected_harvest_population,
        (attended.expected_harvest_population * attended.expected_harvest_weight_g / 1000)
        ::numeric(14, 2) as expected_harvest_biomass_kg,
        attended.planned_harvest_date,
        attended.expected_harvest_date - attended.planned_harvest_date
            as harvest_days_behind_plan,

        -- transfer
        attended.transfer_weight_g::numeric(12, 4) as transfer_weight_g,
        attended.expected_transfer_date,
        attended.expected_transfer_weight_g::numeric(12, 4) as expected_transfer_weight_g,
        attended.expected_transfer_population,
        (attended.expected_transfer_population * attended.expected_transfer_weight_g / 1000)
        ::numeric(14, 2) as expected_transfer_biomass_kg,

        -- planning
        attended.has_planned_harvest,
        attended.has_planned_transfer,
        attended.needs_attention,
        case
            when attended.needs_attention then 'NEEDS_PLANNING'
            when attended.has_planned_harvest or attended.has_planned_transfer then 'PLANNED'
            else 'PROJECTED'
        end as forecast_tier
    from attended
    left join batches on attended.batch_id = batches.batch_id
    left join containers on attended.container_id = containers.container_id
    left join lifecycle_stages
        on attended.lifecycle_stage_id = lifecycle_stages.lifecycle_stage_id
)

select * from final
