-- One row per weight measurement of the batch: how far off was the model?
select
    anchor_date as "Date",
    container_name as "Container",
    anchor_type as "Kind",
    anchor_status as "Status",
    weight_g as "Measured (g)",
    modelled_weight_g as "Model (g)",
    residual_percent as "Measured against model (%)",
    sample_size as "Fish weighed",
    days_since_last_anchor as "Days since the last anchor",
    segment_tgc as "TGC since then",
    is_suspect as "Under suspicion",
    exclusion_reason as "Excluded because"
from {{ ref('weight_anchors') }}
where
    batch_id = ({{ chosen_batch() }})
    and container_id in ({{ chosen_containers() }})
    {{ metabase_filter('dates') }}
order by anchor_date desc, container_name asc
