-- An assignment's week is the sum of its days, and ends as its last day did.
with weekly_assignment_states as (
    select * from {{ ref('weekly_assignment_states') }}
    {%- if first_kept_day() is not none %}
    where week_start_date >= {{ first_kept_day() }}
    {%- endif %}
),

-- (Read twice: two scans cost less than to keep all days.)
daily_assignment_states as not materialized (
    select * from {{ ref('daily_assignment_states') }}
    {%- if first_kept_day() is not none %}
    where {{ week_start_date('state_date') }} >= {{ first_kept_day() }}
    {%- endif %}
),

summed as (
    select
        assignment_id,
        {{ week_start_date('state_date') }} as week_start_date,
        count(*) as row_count,
        max(state_date) as last_state_date,
        sum(mortality_count) as mortality_count,
        sum(arrived_count) as arrived_count,
        sum(departed_count) as departed_count,
        sum(count_adjustment) as count_adjustment,
        sum(feed_kg) as feed_kg,
        sum(gain_kg) as gain_kg,
        count(anchor_type) as anchor_count
    from daily_assignment_states
    group by assignment_id, {{ week_start_date('state_date') }}
),

with_last_day as (
    select
        summed.*,
        last_days.population,
        last_days.biomass_kg
    from summed
    inner join daily_assignment_states as last_days
        on
            summed.assignment_id = last_days.assignment_id
            and summed.last_state_date = last_days.state_date
),

final as (
    select
        coalesce(weekly_assignment_states.assignment_id, with_last_day.assignment_id)
            as assignment_id,
        coalesce(weekly_assignment_states.week_start_date, with_last_day.week_start_date)
            as week_start_date,
        weekly_assignment_states.population,
        with_last_day.population as last_day_population,
        weekly_assignment_states.mortality_count,
        with_last_day.mortality_count as summed_mortality_count
    from weekly_assignment_states
    full join with_last_day
        on
            weekly_assignment_states.assignment_id = with_last_day.assignment_id
            and weekly_assignment_states.week_start_date = with_last_day.week_start_date
    where
        (
            weekly_assignment_states.days_covered = with_last_day.row_count
            and weekly_assignment_states.last_state_date = with_last_day.last_state_date
            and weekly_assignment_states.population = with_last_day.population
            and weekly_assignment_states.biomass_kg = with_last_day.biomass_kg
            and weekly_assignment_states.mortality_count = with_last_day.mortality_count
            and weekly_assignment_states.arrived_count = with_last_day.arrived_count
            and weekly_assignment_states.departed_count = with_last_day.departed_count
            and weekly_assignment_states.count_adjustment = with_last_day.count_adjustment
            and weekly_assignment_states.anchor_count = with_last_day.anchor_count
            and abs(weekly_assignment_states.gain_kg - with_last_day.gain_kg)
            <= 0.00005 * (with_last_day.row_count + 1)
            and (weekly_assignment_states.feed_kg is null) = (with_last_day.feed_kg is null)
            and abs(coalesce(weekly_assignment_states.feed_kg - with_last_day.feed_kg, 0))
            <= 0.00005 * (with_last_day.row_count + 1)
        ) is not true
)

select * from final
