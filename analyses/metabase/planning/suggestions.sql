-- One row per activity that the states suggest, planned or not.
select
    due_date as "Due",
    batch_number as "Batch",
    activity_type as "Activity",
    template_name as "Template",
    trigger_status as "Trigger",
    triggered_date as "Triggered",
    reason as "Why",
    is_covered as "Planned",
    covered_by as "Planned by",
    needs_planning as "Needs planning"
from {{ ref('suggested_activities') }}
where
    batch_id in ({{ chosen_batches() }})
    {{ metabase_filter('activity') }}
order by due_date desc, batch_number asc, template_name asc
