-- One row per open assignment and day to come: what its fish are expected to weigh then, and how
-- many they are. A view: the days stand unrounded in int_forecast_days.
{{ config(materialized='view') }}

with forecast_days as (
    select * from {{ ref('int_forecast_days') }}
),

starts as (
    select * from {{ ref('int_forecast_starts') }}
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

final as (
    select
        -- which
        forecast_days.batch_id,
        batches.batch_number,
        forecast_days.assignment_id,
        starts.container_id,
        containers.container_name,
        starts.computed_date,
        forecast_days.state_date,
        forecast_days.days_ahead,

        -- the expected state at the end of the day
        forecast_days.lifecycle_stage_id,
        lifecycle_stages.lifecycle_stage_name,
        {{ weight_of_root('forecast_days.root') }}::numeric(12, 4) as forecast_weight_g,
        ({{ weight_of_root('forecast_days.root - 1.96 * sqrt(forecast_days.root_variance)') }})
        ::numeric(12, 4) as forecast_weight_low_g,
        ({{ weight_of_root('forecast_days.root + 1.96 * sqrt(forecast_days.root_variance)') }})
        ::numeric(12, 4) as forecast_weight_high_g,
        forecast_days.population,
        (forecast_days.population * {{ weight_of_root('forecast_days.root') }} / 1000)
        ::numeric(14, 2) as forecast_biomass_kg
    from forecast_days
    inner join starts on forecast_days.assignment_id = starts.assignment_id
    left join batches on forecast_days.batch_id = batches.batch_id
    left join containers on starts.container_id = containers.container_id
    left join lifecycle_stages
        on forecast_days.lifecycle_stage_id = lifecycle_stages.lifecycle_stage_id
    where forecast_days.days_ahead > 0
)

select * from final
