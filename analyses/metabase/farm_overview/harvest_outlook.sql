-- One row per month: tonnes that are expected to be harvested, also if all come early or late.
select
    period_start_date as "Month",
    sum(expected_harvest_tonnes) as "Expected (t)",
    sum(early_harvest_tonnes) as "If all come early (t)",
    sum(late_harvest_tonnes) as "If all come late (t)",
    sum(harvest_container_count) as "Containers",
    sum(planned_harvest_container_count) as "Containers planned"
from {{ ref('harvest_outlook') }}
where period_type = 'month'
group by period_start_date
order by period_start_date
