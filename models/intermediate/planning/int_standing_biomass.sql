-- One row per container and day to come on which fish are expected to stand in it: how much they
-- weigh, unrounded, of all batches in it. A view: the days stand in int_forecast_days.
{{ config(materialized='view') }}

with stays as (
    select * from {{ ref('int_outlook_stays') }}
),

forecast_days as (
    select * from {{ ref('int_forecast_days') }}
),

-- A batch that has not been looked at since has an older forecast: no day counts of which not all
-- forecasts speak.
outlook as (
    select max(computed_date) as first_date from stays
),

final as (
    select
        stays.container_id,
        forecast_days.state_date,
        -- (numeric: the sum does not depend on the order of its rows)
        sum((forecast_days.population * {{ weight_of_root('forecast_days.root') }} / 1000)::numeric)
            as standing_biomass_kg
    from stays
    cross join outlook
    inner join forecast_days
        on
            stays.assignment_id = forecast_days.assignment_id
            and outlook.first_date <= forecast_days.state_date
    -- (today they stand there, whatever is expected)
    where
        coalesce(forecast_days.state_date < stays.leaving_date, true)
        or forecast_days.state_date = outlook.first_date
    group by stays.container_id, forecast_days.state_date
)

select * from final
