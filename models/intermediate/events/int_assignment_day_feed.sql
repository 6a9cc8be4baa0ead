-- One row per assignment and day with feeding events that name it, or its batch and container.
select
    assignment_id,
    feeding_date,
    sum(amount_kg) as feed_kg
from {{ ref('int_feeding_events_checked') }}
where reject_reason is null and not is_for_container
group by assignment_id, feeding_date
