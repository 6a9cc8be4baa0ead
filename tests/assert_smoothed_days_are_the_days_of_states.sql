-- The smoothed series has the days of the states, no more and no fewer, with their number of fish.
-- Days that the states no longer keep it may still have.
with daily_assignment_states as (
    select * from {{ ref('daily_assignment_states') }}
),

daily_assignment_smoothed as (
    select * from {{ ref('daily_assignment_smoothed') }}
    {%- if first_kept_day() is not none %}
    where state_date >= {{ first_kept_day() }}
    {%- endif %}
),

final as (
    select
        coalesce(states.assignment_id, smoothed.assignment_id) as assignment_id,
        coalesce(states.state_date, smoothed.state_date) as state_date,
        states.population,
        smoothed.population as smoothed_population
    from daily_assignment_states as states
    full join daily_assignment_smoothed as smoothed
        on
            states.assignment_id = smoothed.assignment_id
            and states.state_date = smoothed.state_date
    where states.population is distinct from smoothed.population
)

select * from final
