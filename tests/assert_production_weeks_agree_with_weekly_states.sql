-- The weeks of production_figures are those of the weekly states, which sum the same days in
-- another way. What happened on an assignment's departure day is here alone; what happened to a
-- batch, only where it had no state that day.
with production_weeks as (
    select * from {{ ref('production_figures') }}
    where period_type = 'week' and days_covered > 0
),

-- Departure days, and the days of stops without days, on which nothing else of the batch has one.
days_without_state as (
    select
        movements.batch_id,
        {{ week_start_date('movements.state_date') }} as week_start_date,
        sum(movements.arrived_count) as arrived_count,
        sum(movements.departed_count) as departed_count,
        sum(movements.departure_mortality_count) as mortality_count,
        sum(movements.departure_count_adjustment) as count_adjustment
    from {{ ref('int_batch_day_movements') }} as movements
    left join {{ ref('daily_batch_states') }} as states
        on
            movements.batch_id = states.batch_id
            and movements.state_date = states.state_date
    where states.batch_id is null
    group by movements.batch_id, {{ week_start_date('movements.state_date') }}
),

weekly_states as (
    select
        batch_id,
        assignment_id,
        week_start_date,
        last_state_date,
        days_covered,
        avg_weight_g,
        population,
        biomass_kg,
        degree_days,
        mortality_count,
        feed_kg,
        gain_kg,
        arrived_count,
        departed_count,
        count_adjustment,
        start_weight_g,
        sgr_percent_per_day,
        tgc
    from {{ ref('weekly_assignment_states') }}

    union all

    select
        weeks.batch_id,
        null as assignment_id,
        weeks.week_start_date,
        weeks.last_state_date,
        weeks.days_covered,
        weeks.avg_weight_g,
        weeks.population,
        weeks.biomass_kg,
        weeks.degree_days,
        weeks.mortality_count + coalesce(days_without_state.mortality_count, 0)
            as mortality_count,
        weeks.feed_kg,
        weeks.gain_kg,
        weeks.arrived_count + coalesce(days_without_state.arrived_count, 0) as arrived_count,
        weeks.departed_count + coalesce(days_without_state.departed_count, 0)
            as departed_count,
        weeks.count_adjustment + coalesce(days_without_state.count_adjustment, 0)
            as count_adjustment,
        weeks.start_weight_g,
        weeks.sgr_percent_per_day,
        weeks.tgc
    from {{ ref('weekly_batch_states') }} as weeks
    left join days_without_state
        on
            weeks.batch_id = days_without_state.batch_id
            and weeks.week_start_date = days_without_state.week_start_date
),

final as (
    select
        coalesce(production_weeks.batch_id, weekly_states.batch_id) as batch_id,
        coalesce(production_weeks.assignment_id, weekly_states.assignment_id) as assignment_id,
        coalesce(production_weeks.period_start_date, weekly_states.week_start_date)
            as week_start_date,
        production_weeks.gain_kg,
        weekly_states.gain_kg as weekly_gain_kg
    from production_weeks
    full join weekly_states
        on
            production_weeks.batch_id = weekly_states.batch_id
            and coalesce(production_weeks.assignment_id, 0)
            = coalesce(weekly_states.assignment_id, 0)
            and production_weeks.period_start_date = weekly_states.week_start_date
    where
        (
            production_weeks.last_state_date = weekly_states.last_state_date
            and production_weeks.days_covered = weekly_states.days_covered
            and production_weeks.population = weekly_states.population
            and production_weeks.biomass_kg = weekly_states.biomass_kg
            and production_weeks.degree_days = weekly_states.degree_days
            and production_weeks.feed_kg is not distinct from weekly_states.feed_kg
            and production_weeks.start_weight_g is not distinct from weekly_states.start_weight_g
            and production_weeks.sgr_percent_per_day
            is not distinct from weekly_states.sgr_percent_per_day
            and production_weeks.tgc is not distinct from weekly_states.tgc
            and (
                production_weeks.population = 0
                or production_weeks.avg_weight_g = weekly_states.avg_weight_g
            )
            and production_weeks.mortality_count >= weekly_states.mortality_count
            and (
                production_weeks.mortality_count > weekly_states.mortality_count
                or production_weeks.assignment_id is null
                or abs(production_weeks.gain_kg - weekly_states.gain_kg) <= 0.0001
            )
            and (
                (
                    production_weeks.assignment_id is not null
                    and production_weeks.period_end_date > production_weeks.last_state_date
                )
                or (
                    production_weeks.mortality_count = weekly_states.mortality_count
                    and production_weeks.arrived_count = weekly_states.arrived_count
                    and production_weeks.departed_count = weekly_states.departed_count
                    and production_weeks.count_adjustment = weekly_states.count_adjustment
                )
            )
            and (
                production_weeks.period_end_date > production_weeks.last_state_date
                or production_weeks.end_population = weekly_states.population
            )
        ) is not true
)

select * from final
