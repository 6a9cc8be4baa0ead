-- One row per container with fish of the batch, on the last day that is chosen: what the figures
-- rest on.
with days as (
    select
        state_date,
        container_name,
        lifecycle_stage_name,
        population,
        avg_weight_g,
        weight_source,
        weight_confidence,
        temp_c,
        temp_source,
        temp_confidence,
        mortality_count,
        mortality_source,
        mortality_confidence,
        feed_kg,
        feed_source,
        feed_confidence,
        observed_fcr,
        fcr_confidence,
        is_provisional,
        max(state_date) over () as newest_date
    from {{ ref('daily_assignment_states') }}
    where
        batch_id = ({{ chosen_batch() }})
        and container_id in ({{ chosen_containers() }})
        {{ metabase_filter('dates') }}
)

select
    state_date as "Day",
    container_name as "Container",
    lifecycle_stage_name as "Stage",
    population as "Fish",
    avg_weight_g as "Weight (g)",
    weight_source as "Weight from",
    weight_confidence as "Confidence in weight",
    temp_c as "Temperature (°C)",
    temp_source as "Temperature from",
    temp_confidence as "Confidence in temperature",
    mortality_count as "Deaths",
    mortality_source as "Deaths from",
    mortality_confidence as "Confidence in deaths",
    feed_kg as "Feed (kg)",
    feed_source as "Feed from",
    feed_confidence as "Confidence in feed",
    observed_fcr as "FCR of the day",
    fcr_confidence as "Confidence in FCR",
    is_provisional as "Provisional"
from days
where state_date = newest_date
order by container_name
