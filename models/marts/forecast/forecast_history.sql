-- One row per day on which a forecast was made, assignment and horizon: what was forecast then. A
-- log: a later run for the same day replaces what differs, and it outlives a full refresh.
{{ config(
    meta={'appended': true},
    indexes=[
        {'columns': ['assignment_id', 'computed_date', 'horizon_days'], 'unique': true},
        {'columns': ['batch_id', 'state_date']},
    ],
    pre_hook="{{ forget_replaced_forecasts() }}",
) }}

with made as (
    select * from {{ horizon_forecasts() }}
),

final as (
    select
        made.batch_id,
        made.batch_number,
        made.assignment_id,
        made.container_id,
        made.container_name,
        made.computed_date,
        made.horizon_days,
        made.state_date,
        made.forecast_weight_g,
        made.forecast_weight_low_g,
        made.forecast_weight_high_g,
        made.population,
        made.forecast_biomass_kg
    from made
    {%- if is_scoped() %}
    where
        not exists (
            select 1 from {{ this }} as stored
            where
                stored.assignment_id = made.assignment_id
                and stored.computed_date = made.computed_date
                and stored.horizon_days = made.horizon_days
        )
    {%- endif %}
)

select * from final
