-- One row per batch and day with fish, from its first state to the end of its forecast: what they
-- weigh and how many they are, or are expected to.
{{ config(
    meta={'published_by': 'batches', 'published_also': 'examined'},
    indexes=[
        {'columns': ['batch_id', 'state_date'], 'unique': true},
    ],
) }}

with batch_days as (
    select * from {{ pending('int_batch_days', 'batches') }}
    where population > 0
),

forecast_days as (
    select
        *,
        ({{ weight_of_root('root') }})::numeric as weight_g
    from {{ pending('int_forecast_days', 'batches') }}
    where days_ahead > 0 and population > 0
),

last_days as (
    select
        batch_id,
        max(state_date) as last_state_date
    from batch_days
    group by batch_id
),

-- Sums in numeric: they do not depend on the order of the rows.
forecast_batch_days as (
    select
        forecast_days.batch_id,
        forecast_days.state_date,
        sum(forecast_days.population)::bigint as population,
        (
            sum(forecast_days.population * forecast_days.weight_g)
            / sum(forecast_days.population)
        )::double precision as avg_weight_g,
        max(forecast_days.weight_g)::double precision as largest_container_weight_g
    from forecast_days
    inner join last_days
        on
            forecast_days.batch_id = last_days.batch_id
            and forecast_days.state_date > last_days.last_state_date
    group by forecast_days.batch_id, forecast_days.state_date
),

final as (
    select
        batch_id,
        state_date,
        false as is_forecast,
        population,
        avg_weight_g,
        largest_container_weight_g
    from batch_days

    union all

    select
        batch_id,
        state_date,
        true as is_forecast,
        population,
        avg_weight_g,
        largest_container_weight_g
    from forecast_batch_days
)

select * from final
