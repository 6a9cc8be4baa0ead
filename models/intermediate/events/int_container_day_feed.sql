-- One row per container and day with feeding events that name the container alone.
{{ config(
    meta={'examined_by': ['container_id']},
    indexes=[
        {'columns': ['container_id']},
    ],
) }}

select
    container_id,
    feeding_date,
    sum(amount_kg) as container_feed_kg
from {{ ref('int_feeding_events_checked') }}
where
    reject_reason is null
    and is_for_container
    -- the same in columns that an index knows
    and recorded_batch_id is null
    and recorded_assignment_id is null{{ and_examined(['container_id']) }}
group by container_id, feeding_date
