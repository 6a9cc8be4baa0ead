-- One row per batch: its life against the plan in force.
select
    batch_number as "Batch",
    batch_status as "Status",
    scenario_name as "Plan",
    actual_weight_g as "Weight (g)",
    weight_variance_percent as "Weight against plan (%)",
    days_ahead as "Days ahead",
    biomass_variance_percent as "Biomass against plan (%)",
    survival_variance_points as "Survival against plan (points)",
    economic_fcr as "Economic FCR",
    expected_fcr as "FCR by plan",
    first_expected_harvest_date as "Harvest expected from",
    last_expected_harvest_date as "Harvest expected until",
    planned_harvest_date as "Harvest planned",
    harvest_days_behind_plan as "Days behind",
    overdue_count as "Overdue activities",
    next_due_date as "Next activity"
from {{ ref('batch_plan_variance') }}
where batch_id in ({{ chosen_batches() }})
order by batch_status, batch_number
