-- One row per measurement that the model can hardly explain.
select
    anchor_date as "Date",
    batch_number as "Batch",
    container_name as "Container",
    anchor_type as "Kind",
    record_id as "Record",
    weight_g as "Measured (g)",
    expected_weight_g as "Expected (g)",
    expected_weight_low_g as "Expected, low (g)",
    expected_weight_high_g as "Expected, high (g)",
    innovation as "Standard deviations off",
    anchor_status as "Status",
    is_drifting as "Container drifts"
from {{ ref('weight_anchors') }}
where
    is_suspect
    and batch_id in ({{ chosen_batches() }})
order by anchor_date desc, container_name asc
