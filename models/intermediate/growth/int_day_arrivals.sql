-- One row per assignment and day on which fish arrive: their number, and a fingerprint of who
-- they are.
{{ config(
    meta={'examined_by': ['to_assignment_id']},
    indexes=[
        {'columns': ['to_assignment_id']},
    ],
) }}

select
    to_assignment_id,
    arrived_date,
    sum(fish_count)::bigint as fish_count,
    hash_array_extended(
        array_agg(
            hash_record_extended(
                row(movement_key, from_assignment_id, fish_count, weight_g, is_inferred), 0
            )
            order by movement_key
        ),
        0
    ) as arrivals_hash
from {{ examined('int_movements') }}
where to_assignment_id is not null
group by to_assignment_id, arrived_date
