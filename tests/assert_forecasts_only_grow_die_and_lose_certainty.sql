-- From one day of a forecast to the next no fish shrinks, none comes, and none is known better.
with forecast_days as (
    select
        *,
        lag(days_ahead) over days as previous_days_ahead,
        lag(root) over days as previous_root,
        lag(population) over days as previous_population,
        lag(root_variance) over days as previous_root_variance
    from {{ ref('int_forecast_days') }}
    window days as (partition by assignment_id order by state_date)
)

select
    assignment_id,
    state_date,
    root,
    population,
    root_variance
from forecast_days
where
    days_ahead <> coalesce(previous_days_ahead + 1, 0)
    -- a day without growth leaves the root as it is, up to the last bit of its cube's root
    or root < previous_root * (1 - 1e-12)
    or population > previous_population
    or root_variance < previous_root_variance * (1 - 1e-12)
