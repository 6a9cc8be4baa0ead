-- One row per planned activity whose day has passed and that is not done.
select
    due_date as "Due",
    days_late as "Days late",
    batch_number as "Batch",
    container_name as "Container",
    activity_type as "Activity",
    activity_status as "Status",
    due_weight_g as "Weight on its day (g)",
    due_weight_variance_percent as "Against plan (%)"
from {{ ref('planned_activity_variance') }}
where
    timeliness = 'overdue'
    and batch_id in ({{ chosen_batches() }})
    {{ metabase_filter('activity') }}
order by due_date, batch_number
