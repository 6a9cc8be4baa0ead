-- One row per container and day with feeding events that name the container alone.
select
    container_id,
    feeding_date,
    sum(amount_kg) as container_feed_kg
from {{ ref('int_feeding_events_checked') }}
where reject_reason is null and is_for_container
group by container_id, feeding_date
