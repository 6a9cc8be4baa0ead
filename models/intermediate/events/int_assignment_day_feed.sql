-- One row per assignment and day with feeding events that name it, or its batch and container.
{{ config(
    meta={
        'examined_by': ['assignment_id'],
        'examined_days': {'column': 'feeding_date', 'frame': 'assignments'},
    },
    indexes=[
        {'columns': ['assignment_id', 'feeding_date'], 'unique': true},
    ],
) }}

select
    assignment_id,
    feeding_date,
    sum(amount_kg) as feed_kg
from {{ examined('int_feeding_events_checked') }}
where
    reject_reason is null
    and not is_for_container{{ and_examined(['assignment_id'], 'feeding_date') }}
group by assignment_id, feeding_date
