-- One row per weight measurement, used or not.
{{ config(
    meta={'published_by': 'assignments'},
    indexes=[
        {'columns': ['anchor_type', 'record_id'], 'unique': true},
        {'columns': ['assignment_id', 'anchor_date']},
        {'columns': ['batch_id', 'anchor_date']},
    ],
) }}

with segments as (
    select * from {{ pending('int_anchor_segments', 'assignments') }}
),

anchors as (
    select * from {{ pending('int_anchors', 'assignments') }}
),

weight_filter as (
    select * from {{ pending('int_weight_filter', 'assignments') }}
),

batches as (
    select * from {{ ref('batches') }}
),

containers as (
    select * from {{ ref('containers') }}
),

-- What the filter expected of a day's measurements, and how far off they may be.
expected as (
    select
        assignment_id,
        observed_date,
        {{ weight_of_root('prior_root') }} as expected_weight_g,
        {{ weight_of_root(
            'prior_root - 1.96 * sqrt(prior_variance + observed_root_variance)'
        ) }} as expected_weight_low_g,
        {{ weight_of_root(
            'prior_root + 1.96 * sqrt(prior_variance + observed_root_variance)'
        ) }} as expected_weight_high_g,
        innovation,
        is_suspect,
        is_drifting
    from weight_filter
    where observation_index > 0
),

final as (
    select
        -- which
        segments.anchor_type,
        segments.record_id,
        segments.batch_id,
        batches.batch_number,
        segments.assignment_id,
        segments.container_id,
        containers.container_name,
        segments.anchor_date,

        -- what was measured
        segments.weight_g::numeric(12, 4) as weight_g,
        segments.sample_size,
        segments.std_deviation_weight_g::numeric(12, 4) as std_deviation_weight_g,
        segments.anchor_status,
        segments.anchor_status = 'used' as is_used,
        segments.exclusion_reason,
        segments.planned_activity_id,

        -- the anchor of the day, of all measurements that were used
        anchors.anchor_type as day_anchor_type,
        anchors.weight_g::numeric(12, 4) as day_anchor_weight_g,
        anchors.weight_confidence as day_anchor_confidence,
        anchors.measurement_count::integer as day_measurement_count,

        -- against the model
        segments.compared_weight_g::numeric(12, 4) as compared_weight_g,
        segments.modelled_weight_g::numeric(12, 4) as modelled_weight_g,
        (segments.compared_weight_g - segments.modelled_weight_g)::numeric(12, 4)
            as residual_g,
        (
            100 * (segments.compared_weight_g - segments.modelled_weight_g)
            / nullif(segments.modelled_weight_g, 0)
        )::numeric(10, 2) as residual_percent,

        -- since the last anchor
        segments.last_anchor_date,
        segments.anchor_date - segments.last_anchor_date as days_since_last_anchor,
        segments.degree_days_since_last_anchor::numeric(10, 2)
            as degree_days_since_last_anchor,
        segments.arrived_since_last_anchor_count,
        ({{ thermal_growth_coefficient(
            'segments.last_anchor_weight_g',
            'segments.compared_weight_g',
            'segments.degree_days_since_last_anchor'
        ) }})::numeric(12, 4) as segment_tgc,

        -- against all earlier measurements
        expected.expected_weight_g::numeric(12, 4) as expected_weight_g,
        expected.expected_weight_low_g::numeric(12, 4) as expected_weight_low_g,
        expected.expected_weight_high_g::numeric(12, 4) as expected_weight_high_g,
        expected.innovation::numeric(10, 2) as innovation,
        expected.is_suspect,
        expected.is_drifting
    from segments
    left join anchors
        on
            segments.assignment_id = anchors.assignment_id
            and segments.anchor_date = anchors.anchor_date
    left join expected
        on
            segments.anchor_status = 'used'
            and segments.assignment_id = expected.assignment_id
            and segments.anchor_date = expected.observed_date
    left join batches on segments.batch_id = batches.batch_id
    left join containers on segments.container_id = containers.container_id
)

select * from final
