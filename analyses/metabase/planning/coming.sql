-- One row per planned activity that is not done: the fish by plan and by forecast on its day.
select
    due_date as "Due",
    days_to_due as "In days",
    batch_number as "Batch",
    container_name as "Container",
    activity_type as "Activity",
    scenario_weight_g as "Weight by plan (g)",
    forecast_weight_g as "Weight by forecast (g)",
    forecast_weight_low_g as "Low (g)",
    forecast_weight_high_g as "High (g)",
    weight_variance_percent as "Forecast against plan (%)",
    rationale as "In words"
from {{ ref('activity_projection_preview') }}
where
    batch_id in ({{ chosen_batches() }})
    {{ metabase_filter('activity') }}
order by due_date, batch_number
