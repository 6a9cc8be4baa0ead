-- One row per assignment with a day: the newest state of its smoothed series, on its last day, and
-- a fingerprint of what all days of the series follow from.
{{ config(
    meta={'published_by': 'assignments'},
    indexes=[
        {'columns': ['assignment_id'], 'unique': true},
    ],
) }}

with smoothing_days as not materialized (
    select * from {{ ref('int_smoothing_days') }}
),

weight_filter as (
    select * from {{ pending('int_weight_filter', 'assignments') }}
),

assignments as (
    select * from {{ pending('int_assignments', 'assignments') }}
),

growth_states as not materialized (
    select * from {{ ref('int_growth_states') }}
),

batches as (
    select * from {{ ref('batches') }}
),

containers as (
    select * from {{ ref('containers') }}
),

hashed_filter as (
    select
        assignment_id,
        max(observation_index) as observation_index,
        hash_array_extended(
            array_agg(
                hash_record_extended(row(weight_filter.*), 0) order by observation_index
            ),
            0
        ) as filter_hash
    from weight_filter
    group by assignment_id
),

-- One look-up in the index for each. (The limits keep the planner from joining all days.)
last_days as (
    select
        assignments.assignment_id,
        assignments.batch_id,
        assignments.container_id,
        last_day.state_date,
        last_day.population,
        last_day.degree_days,
        last_day.root_drift,
        last_state.lifecycle_stage_id
    from assignments
    cross join lateral (
        select * from smoothing_days
        where smoothing_days.assignment_id = assignments.assignment_id
        order by smoothing_days.state_date desc
        limit 1
    ) as last_day
    cross join lateral (
        select * from growth_states
        where
            growth_states.assignment_id = assignments.assignment_id
            and growth_states.state_date = last_day.state_date
        limit 1
    ) as last_state
),

final as (
    select
        last_days.assignment_id,
        last_days.batch_id,
        last_days.state_date,
        last_days.population,
        last_days.lifecycle_stage_id,
        weight_filter.filtered_root + (last_days.root_drift - weight_filter.root_drift)
            as root,
        weight_filter.filtered_variance
        + {{ smoothing_constant('process_noise') }}
        * (last_days.degree_days - weight_filter.degree_days) as root_variance,
        hash_record_extended(
            row(
                last_days.batch_id,
                batches.batch_number,
                last_days.container_id,
                containers.container_name,
                hashed_filter.filter_hash
            ),
            0
        ) as smoothing_hash
    from last_days
    inner join hashed_filter on last_days.assignment_id = hashed_filter.assignment_id
    inner join weight_filter
        on
            hashed_filter.assignment_id = weight_filter.assignment_id
            and hashed_filter.observation_index = weight_filter.observation_index
    left join batches on last_days.batch_id = batches.batch_id
    left join containers on last_days.container_id = containers.container_id
)

select * from final
