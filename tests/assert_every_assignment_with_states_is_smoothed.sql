-- Each assignment with a state has a start in the filter, and all its observations. One whose
-- start waits for a source that never comes would be missing.
with smoothing_days as (
    select distinct assignment_id from {{ ref('int_smoothing_days') }}
),

observations as (
    select
        assignment_id,
        count(*) as observation_count
    from {{ ref('int_weight_observations') }}
    group by assignment_id
),

filtered as (
    select
        assignment_id,
        count(*) as row_count,
        min(observation_index) as first_index,
        max(observation_index) as last_index
    from {{ ref('int_weight_filter') }}
    group by assignment_id
),

final as (
    select
        smoothing_days.assignment_id,
        observations.observation_count,
        filtered.row_count
    from smoothing_days
    left join observations on smoothing_days.assignment_id = observations.assignment_id
    left join filtered on smoothing_days.assignment_id = filtered.assignment_id
    where
        (
            filtered.row_count = coalesce(observations.observation_count, 0) + 1
            and filtered.first_index = 0
            and filtered.last_index = coalesce(observations.observation_count, 0)
        ) is not true
)

select * from final
