-- One row per month: how activities kept to their days.
select
    due_month_start_date as "Month",
    sum(early_count) as "Early",
    sum(on_time_count) as "On time",
    sum(late_count) as "Late",
    sum(overdue_count) as "Overdue",
    sum(open_count) as "Open",
    sum(cancelled_count) as "Cancelled"
from {{ ref('planned_activity_summary') }}
where
    batch_id in ({{ chosen_batches() }})
    {{ metabase_filter('activity') }}
group by due_month_start_date
order by due_month_start_date
