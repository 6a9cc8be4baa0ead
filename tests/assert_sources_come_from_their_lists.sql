-- Every figure says where it comes from, in the words of the growth model, and says "none" or
-- "insufficient_data" exactly where it is missing.
select
    assignment_id,
    state_date,
    temp_source,
    mortality_source,
    feed_source,
    weight_source,
    fcr_source,
    anchor_type,
    scenario_source
from {{ ref('daily_assignment_states') }}
where
    (
        temp_source in ('measured', 'interpolated', 'nearest', 'profile', 'none')
        and (temp_source = 'none') = (temp_c is null)
        and mortality_source in ('actual', 'prorated', 'model', 'inferred_zero')
        and feed_source in ('actual', 'none')
        and (feed_source = 'none') = (feed_kg is null)
        and weight_source in ('measured', 'tgc_computed', 'capped', 'unchanged')
        and (weight_source = 'measured') = (anchor_type is not null)
        and fcr_source in ('calculated', 'insufficient_data')
        and (fcr_source = 'insufficient_data') = (observed_fcr is null)
        and scenario_source in ('pinned_run', 'pinned_scenario', 'first_scenario', 'baseline')
        and (scenario_source = 'baseline') = (scenario_id is null)
    ) is not true
