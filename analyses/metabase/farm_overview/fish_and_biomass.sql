-- One row: what the farm holds on its newest day.
with newest_date as (
    select max(state_date) as state_date from {{ ref('daily_batch_states') }}
),

newest_day as (
    select
        state_date,
        population,
        biomass_kg,
        container_count,
        lowest_weight_confidence
    from {{ ref('daily_batch_states') }}
    where
        state_date = (select newest_date.state_date from newest_date)
        and population > 0
        and batch_id in ({{ chosen_batches() }})
)

select
    max(state_date) as "Day",
    count(*) as "Batches",
    sum(container_count) as "Containers",
    sum(population) as "Fish",
    round(sum(biomass_kg) / 1000, 1) as "Biomass (t)",
    round(1000 * sum(biomass_kg) / sum(population), 1) as "Mean weight (g)",
    min(lowest_weight_confidence) as "Lowest confidence"
from newest_day
having count(*) > 0
