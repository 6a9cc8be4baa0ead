-- One row per lifecycle stage whose growth is capped; empty unless the var stage_caps_enabled.
select
    lifecycle_stages.lifecycle_stage_id,
    stage_weight_caps.max_weight_g as cap_weight_g
from {{ ref('stg_lifecycle_stages') }} as lifecycle_stages
inner join {{ ref('stage_weight_caps') }} as stage_weight_caps
    on lifecycle_stages.lifecycle_stage_key = stage_weight_caps.lifecycle_stage_key
where {{ 'true' if flag('stage_caps_enabled') else 'false' }}
