-- Fish that have a smoothed state on the last day of their assignment, and no known end, are
-- followed from that state; others are not.
with daily_assignment_smoothed as (
    select * from {{ ref('daily_assignment_smoothed') }}
),

container_forecast as (
    select * from {{ ref('container_forecast') }}
),

assignments as (
    select * from {{ ref('int_assignments') }}
),

expected as (
    select
        smoothed.assignment_id,
        smoothed.state_date,
        smoothed.smoothed_weight_g,
        smoothed.population,
        smoothed.smoothed_biomass_kg
    from daily_assignment_smoothed as smoothed
    inner join assignments
        on
            smoothed.assignment_id = assignments.assignment_id
            and smoothed.state_date = assignments.last_active_date
    where
        smoothed.population > 0
        and (assignments.end_date is null or assignments.end_date > smoothed.state_date + 1)
)

select
    expected.assignment_id as expected_assignment_id,
    container_forecast.assignment_id,
    expected.smoothed_weight_g as expected_weight_g,
    container_forecast.smoothed_weight_g
from expected
full join container_forecast
    on
        expected.assignment_id = container_forecast.assignment_id
        and expected.state_date = container_forecast.computed_date
where
    expected.population is distinct from container_forecast.population
    -- the same number, by another way: it may round to the neighbouring last digit
    or (abs(expected.smoothed_weight_g - container_forecast.smoothed_weight_g) <= 0.0001)
    is not true
    or (abs(expected.smoothed_biomass_kg - container_forecast.smoothed_biomass_kg) <= 0.01)
    is not true
