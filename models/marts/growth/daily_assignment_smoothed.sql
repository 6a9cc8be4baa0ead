-- One row per assignment and day: its mean weight as best known in hindsight.
{{ config(
    meta={
        'published_by': 'assignment_days',
        'unchanged_by': {
            'all_days': {'model': 'int_smoothed_ends', 'column': 'smoothing_hash'},
            'day': {'model': 'int_smoothing_days', 'column': 'day_hash'},
        },
    },
    indexes=[
        {'columns': ['assignment_id', 'state_date'], 'unique': true},
        {'columns': ['batch_id', 'state_date']},
    ],
) }}

with smoothing_days as {{ 'materialized' if is_scoped() else 'not materialized' }} (
    select * from {{ pending('int_smoothing_days', 'assignments', day='state_date') }}
),

weight_filter as (
    select * from {{ pending('int_weight_filter', 'assignments') }}
),

smoothed_ends as (
    select * from {{ ref('int_smoothed_ends') }}
),

assignments as (
    select * from {{ ref('int_assignments') }}
),

batches as (
    select * from {{ ref('batches') }}
),

containers as (
    select * from {{ ref('containers') }}
),

process_noise as (
    select {{ smoothing_constant('process_noise') }} as noise
),

-- From one observation to the day before the next; the first one from the assignment's start, the
-- last one without a next.
segments as (
    select
        *,
        coalesce(lead(observed_date) over observations, 'infinity'::date) as next_observed_date,
        lead(degree_days) over observations - degree_days as segment_degree_days,
        lead(root_drift) over observations as next_root_drift,
        lead(smoothed_root) over observations as next_smoothed_root,
        lead(smoothed_variance) over observations as next_smoothed_variance
    from weight_filter
    window observations as (partition by assignment_id order by observation_index)
),

-- How far a day has come in its segment, 0 to 1, and from where.
placed as (
    select
        smoothing_days.assignment_id,
        smoothing_days.state_date,
        smoothing_days.population,
        smoothing_days.day_hash,
        segments.observation_index,
        segments.observed_date,
        segments.next_observed_date,
        segments.segment_degree_days,
        segments.smoothed_variance,
        segments.next_smoothed_variance,
        segments.smoothed_covariance,
        segments.smoothed_root + (smoothing_days.root_drift - segments.root_drift)
            as root_from_last,
        segments.next_smoothed_root - (segments.next_root_drift - smoothing_days.root_drift)
            as root_from_next,
        smoothing_days.degree_days - segments.degree_days as passed_degree_days,
        coalesce(
            (smoothing_days.degree_days - segments.degree_days)
            / nullif(segments.segment_degree_days, 0),
            0
        ) as passed_share
    from smoothing_days
    inner join segments
        on
            smoothing_days.assignment_id = segments.assignment_id
            and smoothing_days.state_date >= segments.observed_date
            and smoothing_days.state_date < segments.next_observed_date
),

-- The bridge between two observations; after the last one forward, ever less sure.
bridged as (
    select
        placed.*,
        case
            when placed.segment_degree_days is null then placed.root_from_last
            else
                (1 - placed.passed_share) * placed.root_from_last
                + placed.passed_share * placed.root_from_next
        end as root,
        case
            when placed.segment_degree_days is null
                then
                    placed.smoothed_variance
                    + process_noise.noise * placed.passed_degree_days
            else
                (1 - placed.passed_share) * (1 - placed.passed_share)
                * placed.smoothed_variance
                + placed.passed_share * placed.passed_share * placed.next_smoothed_variance
                + 2 * placed.passed_share * (1 - placed.passed_share)
                * placed.smoothed_covariance
                + process_noise.noise * placed.segment_degree_days
                * placed.passed_share * (1 - placed.passed_share)
        end as root_variance
    from placed
    cross join process_noise
),

weighed as (
    select
        *,
        {{ weight_of_root('root') }} as smoothed_weight_g,
        {{ weight_of_root('root - 1.96 * sqrt(root_variance)') }} as smoothed_weight_low_g,
        {{ weight_of_root('root + 1.96 * sqrt(root_variance)') }} as smoothed_weight_high_g
    from bridged
),

final as (
    select
        -- which
        assignments.batch_id,
        batches.batch_number,
        weighed.assignment_id,
        assignments.container_id,
        containers.container_name,
        weighed.state_date,

        -- the weight in hindsight
        weighed.smoothed_weight_g::numeric(12, 4) as smoothed_weight_g,
        weighed.smoothed_weight_low_g::numeric(12, 4) as smoothed_weight_low_g,
        weighed.smoothed_weight_high_g::numeric(12, 4) as smoothed_weight_high_g,
        weighed.population,
        (weighed.population * weighed.smoothed_weight_g / 1000)::numeric(14, 2)
            as smoothed_biomass_kg,

        -- what it rests on
        weighed.observation_index > 0 and weighed.state_date = weighed.observed_date
            as is_observed,
        case
            when weighed.observation_index > 0 then weighed.state_date - weighed.observed_date
        end as days_since_last_observation,
        case
            when weighed.segment_degree_days is not null
                then weighed.next_observed_date - weighed.state_date
        end as days_to_next_observation,
        smoothed_ends.smoothing_hash,
        weighed.day_hash
    from weighed
    inner join smoothed_ends on weighed.assignment_id = smoothed_ends.assignment_id
    left join assignments on weighed.assignment_id = assignments.assignment_id
    left join batches on assignments.batch_id = batches.batch_id
    left join containers on assignments.container_id = containers.container_id
)

select * from final
