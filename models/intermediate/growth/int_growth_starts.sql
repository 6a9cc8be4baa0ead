-- One row per assignment: the row 0 from which its recursion starts, dated the day before its
-- first day. A restart puts the stored states of the day before in this place (see
-- int_growth_states): the recursion knows no difference.
{{ config(
    meta={'examined_by': ['assignment_id']},
    indexes=[
        {'columns': ['state_date']},
        {'columns': ['assignment_id']},
    ],
) }}

select
    stocking.assignment_id,
    assignments.batch_id,
    stocking.assignment_date - 1 as state_date,
    0::bigint as population,
    stocking.start_weight_g as weight_g,
    0::double precision as mortality_carry,
    assignments.lifecycle_stage_id,
    false as is_arrival_inferred
from {{ examined('int_stocking', 'stocking') }}
inner join {{ examined('int_assignments', 'assignments') }}
    on stocking.assignment_id = assignments.assignment_id
where assignments.last_active_date >= assignments.assignment_date
