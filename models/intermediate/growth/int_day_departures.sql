-- One row per assignment and day on which fish leave it: their number, and a fingerprint of
-- where they go.
{{ config(
    meta={'examined_by': ['from_assignment_id']},
    indexes=[
        {'columns': ['from_assignment_id']},
    ],
) }}

select
    from_assignment_id,
    departed_date,
    sum(fish_count)::bigint as fish_count,
    hash_array_extended(
        array_agg(
            hash_record_extended(row(movement_key, to_assignment_id, arrived_date, fish_count), 0)
            order by movement_key
        ),
        0
    ) as departures_hash
from {{ examined('int_movements') }}
where from_assignment_id is not null
group by from_assignment_id, departed_date
