-- One row per container with fish of the batch: when they are ready, and whether it is planned.
select
    container_name as "Container",
    lifecycle_stage_name as "Stage",
    smoothed_weight_g as "Weight (g)",
    population as "Fish",
    expected_transfer_date as "Ready for transfer",
    harvest_date_p10 as "Harvest, early (10 %)",
    expected_harvest_date as "Harvest, expected",
    harvest_date_p90 as "Harvest, late (90 %)",
    planned_harvest_date as "Harvest, planned",
    harvest_days_behind_plan as "Days behind plan",
    round(expected_harvest_biomass_kg / 1000, 1) as "Expected at harvest (t)",
    forecast_tier as "Planning"
from {{ ref('container_forecast') }}
where
    batch_id = ({{ chosen_batch() }})
    and container_id in ({{ chosen_containers() }})
order by expected_harvest_date, container_name
