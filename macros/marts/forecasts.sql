{#- The forecasts of forecast_daily at the horizons that are kept, as a relation. -#}
{% macro horizon_forecasts() -%}
    (
        select
            horizons.horizon_days,
            days.*
        from {{ ref('int_forecast_starts') }} as starts
        cross join {{ ref('forecast_horizons') }} as horizons
        inner join {{ ref('forecast_daily') }} as days
            on
                starts.assignment_id = days.assignment_id
                and starts.computed_date + horizons.horizon_days = days.state_date
        -- an array, not only the join: it reaches below the view's rounding
        where
            days.days_ahead = any(
                array(select horizon_days from {{ ref('forecast_horizons') }})
            )
            {{ and_examined(['starts.batch_id']) }}
            {{ and_examined(['days.batch_id']) }}
    ) as made
{%- endmacro %}


{#-
  Removes, from the forecasts that are kept, those of the day on which the present ones were made
  and that differ from these; the model then adds them as they are now.
-#}
{% macro forget_replaced_forecasts() -%}
    {%- if is_scoped() -%}
    delete from {{ this }} as stored
    using {{ ref('int_forecast_starts') }} as starts
    where
        stored.assignment_id = starts.assignment_id
        and stored.computed_date = starts.computed_date
        {{ and_examined(['starts.batch_id']) }}
        and not exists (
            select 1 from {{ ref('forecast_daily') }} as days
            where
                days.days_ahead = any(array(select distinct horizon_days from {{ this }}))
                {{ and_examined(['days.batch_id']) }}
                and days.assignment_id = stored.assignment_id
                and days.state_date = stored.state_date
                and days.forecast_weight_g = stored.forecast_weight_g
                and days.forecast_weight_low_g = stored.forecast_weight_low_g
                and days.forecast_weight_high_g = stored.forecast_weight_high_g
                and days.population = stored.population
        )
    {%- else -%}
    select 1
    {%- endif -%}
{%- endmacro %}
