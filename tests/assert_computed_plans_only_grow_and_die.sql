-- Nothing is weighed and nobody arrives in a plan: from one computed day to the next the fish never
-- become lighter or more.
with plan_days as (
    select
        *,
        lag(state_date) over plan as date_before,
        lag(weight_g) over plan as weight_before_g,
        lag(population) over plan as population_before
    from {{ ref('int_plan_days') }}
    window plan as (partition by batch_id, scenario_id order by state_date)
)

select * from plan_days
where
    plan_source = 'computed'
    and date_before is not null
    and (
        date_before <> state_date - 1
        -- (a fish at its limit may lose the last digit of its weight)
        or weight_g < weight_before_g * (1 - 1e-12)
        or population > population_before
    )
