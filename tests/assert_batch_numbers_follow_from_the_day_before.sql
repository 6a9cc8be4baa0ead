-- A batch's number closes from day to day, to the fish: what arrived from outside, what left the
-- batch, what died, and what does not add up, departure days included.
with daily_batch_states as (
    select * from {{ ref('daily_batch_states') }}
),

with_yesterday as (
    select
        today.*,
        coalesce(yesterday.population, 0) as population_yesterday
    from daily_batch_states as today
    left join daily_batch_states as yesterday
        on
            today.batch_id = yesterday.batch_id
            and today.state_date - 1 = yesterday.state_date
),

final as (
    select *
    from with_yesterday
    where
        population
        <> population_yesterday
        + arrived_count
        - departed_count
        - mortality_count
        + count_adjustment
)

select * from final
