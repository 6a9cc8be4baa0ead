-- One row per constraint set and folded stage name. Where two names of one set fold to the
-- same key, the row with the lower id counts.
select distinct on (constraint_set_id, lifecycle_stage_key)
    constraint_set_id,
    lifecycle_stage_key,
    min_weight_g,
    max_weight_g
from {{ ref('stg_stage_constraints') }}
order by constraint_set_id, lifecycle_stage_key, stage_constraint_id
