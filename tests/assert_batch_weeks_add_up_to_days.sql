-- A batch's week is the sum of its days, and ends as its last day did: fish that change container
-- in mid-week are not counted twice.
with weekly_batch_states as (
    select * from {{ ref('weekly_batch_states') }}
),

daily_batch_states as (
    select * from {{ ref('daily_batch_states') }}
),

summed as (
    select
        batch_id,
        {{ week_start_date('state_date') }} as week_start_date,
        count(*) as row_count,
        max(state_date) as last_state_date,
        sum(mortality_count) as mortality_count,
        sum(arrived_count) as arrived_count,
        sum(departed_count) as departed_count,
        sum(count_adjustment) as count_adjustment,
        sum(feed_kg) as feed_kg,
        sum(gain_kg) as gain_kg,
        sum(anchor_count) as anchor_count
    from daily_batch_states
    group by batch_id, {{ week_start_date('state_date') }}
),

with_last_day as (
    select
        summed.*,
        last_days.population,
        last_days.biomass_kg
    from summed
    inner join daily_batch_states as last_days
        on
            summed.batch_id = last_days.batch_id
            and summed.last_state_date = last_days.state_date
),

final as (
    select
        coalesce(weekly_batch_states.batch_id, with_last_day.batch_id) as batch_id,
        coalesce(weekly_batch_states.week_start_date, with_last_day.week_start_date)
            as week_start_date,
        weekly_batch_states.population,
        with_last_day.population as last_day_population,
        weekly_batch_states.mortality_count,
        with_last_day.mortality_count as summed_mortality_count
    from weekly_batch_states
    full join with_last_day
        on
            weekly_batch_states.batch_id = with_last_day.batch_id
            and weekly_batch_states.week_start_date = with_last_day.week_start_date
    where
        (
            weekly_batch_states.days_covered = with_last_day.row_count
            and weekly_batch_states.last_state_date = with_last_day.last_state_date
            and weekly_batch_states.population = with_last_day.population
            and weekly_batch_states.biomass_kg = with_last_day.biomass_kg
            and weekly_batch_states.mortality_count = with_last_day.mortality_count
            and weekly_batch_states.arrived_count = with_last_day.arrived_count
            and weekly_batch_states.departed_count = with_last_day.departed_count
            and weekly_batch_states.count_adjustment = with_last_day.count_adjustment
            and weekly_batch_states.anchor_count = with_last_day.anchor_count
            and abs(weekly_batch_states.gain_kg - with_last_day.gain_kg)
            <= 0.00005 * (with_last_day.row_count + 1)
            and (weekly_batch_states.feed_kg is null) = (with_last_day.feed_kg is null)
            and abs(coalesce(weekly_batch_states.feed_kg - with_last_day.feed_kg, 0))
            <= 0.00005 * (with_last_day.row_count + 1)
        ) is not true
)

select * from final
