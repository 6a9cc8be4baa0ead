-- One row per batch with fish: its newest day, its plan and its harvest.
with newest_date as (
    select max(state_date) as state_date from {{ ref('daily_batch_states') }}
),

newest_days as (
    select
        batch_id,
        batch_number,
        day_number,
        lifecycle_stage_name,
        population,
        avg_weight_g,
        biomass_kg,
        container_count,
        lowest_weight_confidence
    from {{ ref('daily_batch_states') }}
    where
        state_date = (select newest_date.state_date from newest_date)
        and population > 0
        and batch_id in ({{ chosen_batches() }})
),

plans as (
    select
        batch_id,
        weight_variance_percent,
        days_ahead,
        economic_fcr,
        survival_percent,
        first_expected_harvest_date,
        last_expected_harvest_date
    from {{ ref('batch_plan_variance') }}
)

select
    newest_days.batch_number as "Batch",
    newest_days.lifecycle_stage_name as "Stage",
    newest_days.day_number as "Age (days)",
    newest_days.container_count as "Containers",
    newest_days.population as "Fish",
    newest_days.avg_weight_g as "Weight (g)",
    round(newest_days.biomass_kg / 1000, 1) as "Biomass (t)",
    plans.weight_variance_percent as "Weight against plan (%)",
    plans.days_ahead as "Days ahead of plan",
    plans.economic_fcr as "Economic FCR, life",
    plans.survival_percent as "Survival (%)",
    plans.first_expected_harvest_date as "First harvest expected",
    plans.last_expected_harvest_date as "Last harvest expected",
    newest_days.lowest_weight_confidence as "Lowest confidence"
from newest_days
left join plans on newest_days.batch_id = plans.batch_id
order by newest_days.batch_number
