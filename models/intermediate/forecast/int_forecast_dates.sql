-- One row per open assignment: the days on which its forecast reaches what is waited for, and its
-- state then. Null where the forecast does not reach it.
{{ config(
    meta={'published_by': 'batches', 'published_also': 'examined'},
    indexes=[
        {'columns': ['batch_id']},
    ],
) }}

with starts as (
    select
        *,
        cbrt(harvest_weight_g) - 1e-9 as harvest_root
    from {{ pending('int_forecast_starts', 'batches') }}
),

forecast_days as (
    select * from {{ pending('int_forecast_days', 'batches') }}
),

parameters as (
    select * from {{ pending('int_forecast_parameters', 'batches') }}
),

-- What the stage in which the forecast starts leads to, on its first day.
transfers as (
    select
        starts.assignment_id,
        parameters.max_weight_g as transfer_weight_g
    from starts
    inner join parameters
        on
            starts.assignment_id = parameters.assignment_id
            and starts.lifecycle_stage_id = parameters.lifecycle_stage_id
            and starts.computed_date + 1 >= parameters.from_date
            and starts.computed_date + 1 < parameters.to_date
    where
        parameters.next_lifecycle_stage_id is not null
        and coalesce(starts.weight_g < parameters.max_weight_g - 1e-9, true)
),

quantiles as (
    select
        forecast_days.assignment_id,
        forecast_days.state_date,
        forecast_days.lifecycle_stage_id,
        forecast_days.root,
        {{ forecast_constant('harvest_quantile_z') }} * sqrt(forecast_days.root_variance)
            as root_spread
    from forecast_days
),

reached as (
    select
        starts.assignment_id,
        max(quantiles.state_date) as last_forecast_date,
        min(quantiles.state_date) filter (
            where quantiles.root + quantiles.root_spread >= starts.harvest_root
        ) as harvest_date_p10,
        min(quantiles.state_date) filter (where quantiles.root >= starts.harvest_root)
            as expected_harvest_date,
        min(quantiles.state_date) filter (
            where quantiles.root - quantiles.root_spread >= starts.harvest_root
        ) as harvest_date_p90,
        min(quantiles.state_date) filter (
            where quantiles.lifecycle_stage_id <> starts.lifecycle_stage_id
        ) as next_stage_date
    from starts
    inner join quantiles on starts.assignment_id = quantiles.assignment_id
    group by starts.assignment_id
),

final as (
    select
        starts.assignment_id,
        starts.batch_id,
        reached.last_forecast_date,
        reached.expected_harvest_date,
        reached.harvest_date_p10,
        reached.harvest_date_p90,
        power(at_harvest.root, 3) as expected_harvest_weight_g,
        at_harvest.population as expected_harvest_population,
        transfers.transfer_weight_g,
        case when transfers.assignment_id is not null then reached.next_stage_date end
            as expected_transfer_date,
        power(at_transfer.root, 3) as expected_transfer_weight_g,
        at_transfer.population as expected_transfer_population
    from starts
    inner join reached on starts.assignment_id = reached.assignment_id
    left join transfers on starts.assignment_id = transfers.assignment_id
    left join {{ ref('int_forecast_days') }} as at_harvest
        on
            reached.assignment_id = at_harvest.assignment_id
            and reached.expected_harvest_date = at_harvest.state_date
    left join {{ ref('int_forecast_days') }} as at_transfer
        on
            transfers.assignment_id = at_transfer.assignment_id
            and reached.next_stage_date = at_transfer.state_date
)

select * from final
