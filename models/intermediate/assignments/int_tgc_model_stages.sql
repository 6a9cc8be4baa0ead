-- One row per TGC model and folded stage name. Where two names of one model fold to the same
-- key, the row with the lower id counts.
select distinct on (tgc_model_id, lifecycle_stage_key)
    tgc_model_id,
    lifecycle_stage_key,
    tgc_value,
    exponent_n,
    exponent_m
from {{ ref('stg_tgc_model_stages') }}
order by tgc_model_id, lifecycle_stage_key, tgc_model_stage_id
