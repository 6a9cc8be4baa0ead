-- One row per activity that is done: how it kept to its day, and the fish against the plan.
select
    completed_date as "Done",
    due_date as "Due",
    days_late as "Days late",
    timeliness as "Kept to its day",
    batch_number as "Batch",
    container_name as "Container",
    activity_type as "Activity",
    completed_weight_g as "Weight (g)",
    completed_weight_variance_percent as "Against plan (%)",
    fcr_variance as "FCR against plan"
from {{ ref('planned_activity_variance') }}
where
    completed_date is not null
    and batch_id in ({{ chosen_batches() }})
    {{ metabase_filter('activity') }}
order by completed_date desc, batch_number asc
