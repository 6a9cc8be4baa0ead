-- One row per forecast that was made and whose day has come: how far it was from what is known of
-- that day by now. A view, because that changes with each later measurement.
{{ config(materialized='view') }}

with forecast_history as (
    select * from {{ ref('forecast_history') }}
),

daily_assignment_smoothed as (
    select * from {{ ref('daily_assignment_smoothed') }}
),

final as (
    select
        -- which
        forecast_history.batch_id,
        forecast_history.batch_number,
        forecast_history.assignment_id,
        forecast_history.container_id,
        forecast_history.container_name,
        forecast_history.computed_date,
        forecast_history.horizon_days,
        forecast_history.state_date,

        -- mean weight
        forecast_history.forecast_weight_g,
        forecast_history.forecast_weight_low_g,
        forecast_history.forecast_weight_high_g,
        smoothed.smoothed_weight_g as actual_weight_g,
        (forecast_history.forecast_weight_g - smoothed.smoothed_weight_g)::numeric(12, 4)
            as weight_error_g,
        {{ variance_percent('forecast_history.forecast_weight_g', 'smoothed.smoothed_weight_g') }}
            as weight_error_percent,
        smoothed.smoothed_weight_g between forecast_history.forecast_weight_low_g
        and forecast_history.forecast_weight_high_g as is_within_band,

        -- number and biomass
        forecast_history.population as forecast_population,
        smoothed.population as actual_population,
        {{ variance_percent('forecast_history.population', 'smoothed.population') }}
            as population_error_percent,
        forecast_history.forecast_biomass_kg,
        smoothed.smoothed_biomass_kg as actual_biomass_kg,
        {{ variance_percent('forecast_history.forecast_biomass_kg', 'smoothed_biomass_kg') }}
            as biomass_error_percent
    from forecast_history
    inner join daily_assignment_smoothed as smoothed
        on
            forecast_history.assignment_id = smoothed.assignment_id
            and forecast_history.state_date = smoothed.state_date
)

select * from final
