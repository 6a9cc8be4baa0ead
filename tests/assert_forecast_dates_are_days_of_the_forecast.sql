-- What is expected at harvest and at transfer is what the days of the forecast say; the days before
-- that of harvest have not reached its size.
with container_forecast as (
    select * from {{ ref('container_forecast') }}
),

forecast_daily as (
    select * from {{ ref('forecast_daily') }}
),

compared as (
    select
        container_forecast.assignment_id,
        forecast_daily.state_date,
        forecast_daily.state_date = container_forecast.expected_harvest_date
        and (
            forecast_daily.population <> container_forecast.expected_harvest_population
            or forecast_daily.forecast_biomass_kg
            <> container_forecast.expected_harvest_biomass_kg
            or forecast_daily.forecast_weight_g < container_forecast.harvest_weight_g
        ) as is_other_at_harvest,
        forecast_daily.state_date = container_forecast.expected_transfer_date
        and (
            forecast_daily.population <> container_forecast.expected_transfer_population
            or forecast_daily.forecast_biomass_kg
            <> container_forecast.expected_transfer_biomass_kg
            or forecast_daily.lifecycle_stage_id = container_forecast.lifecycle_stage_id
        ) as is_other_at_transfer,
        coalesce(
            forecast_daily.state_date < container_forecast.expected_harvest_date,
            container_forecast.expected_harvest_date is null
        )
        and forecast_daily.forecast_weight_g > container_forecast.harvest_weight_g
            as is_harvested_late
    from container_forecast
    inner join forecast_daily
        on container_forecast.assignment_id = forecast_daily.assignment_id
)

select * from compared
where is_other_at_harvest or is_other_at_transfer or is_harvested_late
