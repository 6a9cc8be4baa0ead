-- On every row, in whole fish: today's number is yesterday's plus what arrived, less what
-- departed and died, plus the adjustment; and the adjustment is only what was taken beyond
-- what was there.
with growth_states as (
    select * from {{ ref('int_growth_states') }} where not is_in_transit
),

with_yesterday as (
    select
        *,
        lag(population, 1, 0::bigint) over (
            partition by assignment_id order by state_date
        ) as population_yesterday
    from growth_states
),

final as (
    select
        assignment_id,
        state_date,
        population_yesterday,
        arrived_count,
        departed_count,
        mortality_count,
        count_adjustment,
        population
    from with_yesterday
    where
        (
            population
            = population_yesterday + arrived_count - departed_count - mortality_count
            + count_adjustment
            and count_adjustment = greatest(
                departed_count + mortality_count - population_yesterday - arrived_count, 0
            )
            and stayed_count = greatest(population_yesterday - departed_count, 0)
            and least(population, arrived_count, departed_count, mortality_count) >= 0
        ) is not true
)

select * from final
