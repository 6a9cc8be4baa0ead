-- One row per activity that the states suggest and that nobody has planned, within 30 days.
select
    due_date as "Due",
    batch_number as "Batch",
    activity_type as "Activity",
    template_name as "Template",
    reason as "Why",
    trigger_weight_g as "Weight then (g)",
    trigger_population as "Fish then"
from {{ ref('suggested_activities') }}
where
    needs_planning
    and batch_id in ({{ chosen_batches() }})
    {{ metabase_filter('activity') }}
order by due_date, batch_number, template_name
