-- One row per measured mean weight of an assignment on a day, up to the as-of date: whether it
-- anchors the state, and if not, why not.
{{ config(
    meta={'examined_by': ['assignment_id']},
    indexes=[
        {'columns': ['assignment_id']},
    ],
) }}

with growth_samples as (
    select
        'growth_sample' as anchor_type,
        growth_sample_id as record_id,
        assignment_id,
        sample_date as anchor_date,
        avg_weight_g as weight_g,
        sample_size,
        std_deviation_weight_g,
        null::bigint as planned_activity_id
    from {{ examined('int_growth_samples_checked') }}
    where reject_reason is null
),

transfers as (
    select
        'transfer' as anchor_type,
        transfer_action_id as record_id,
        assignment_id,
        anchor_date,
        weight_g,
        sample_size,
        std_deviation_weight_g,
        planned_activity_id
    from {{ examined('int_transfer_weighings') }}
    where reject_reason is null
),

vaccinations as (
    select
        'vaccination' as anchor_type,
        treatment_id as record_id,
        assignment_id,
        sampling_date as anchor_date,
        weight_g,
        sample_size,
        std_deviation_weight_g,
        null::bigint as planned_activity_id
    from {{ examined('int_vaccination_weighings') }}
    where reject_reason is null
),

manual_anchors as (
    select
        'manual' as anchor_type,
        manual_anchor_id as record_id,
        assignment_id,
        anchor_date,
        weight_g,
        null::bigint as sample_size,
        null::double precision as std_deviation_weight_g,
        null::bigint as planned_activity_id
    from {{ examined('int_manual_anchors_checked') }}
    where reject_reason is null
),

health_samplings as (
    select
        'health_sampling' as anchor_type,
        health_sampling_event_id as record_id,
        assignment_id,
        sampling_date as anchor_date,
        weight_g,
        sample_size,
        std_deviation_weight_g,
        null::bigint as planned_activity_id
    from {{ examined('int_health_samplings_checked') }}
    where reject_reason is null
),

measurements as (
    select * from growth_samples
    union all
    select * from transfers
    union all
    select * from vaccinations
    union all
    select * from manual_anchors
    union all
    select * from health_samplings
),

measurement_activities as (
    select * from {{ examined('int_measurement_activities') }}
),

exclusions as (
    select * from {{ ref('stg_anchor_exclusions') }}
),

anchor_types as (
    select * from {{ ref('anchor_types') }}
),

judged as (
    select
        measurements.anchor_type,
        measurements.record_id,
        measurements.assignment_id,
        measurements.anchor_date,
        measurements.weight_g,
        measurements.sample_size,
        measurements.std_deviation_weight_g,
        coalesce(
            measurements.planned_activity_id, measurement_activities.planned_activity_id
        ) as planned_activity_id,
        anchor_types.precedence,
        exclusions.reason as exclusion_reason,
        case
            when exclusions.anchor_exclusion_id is not null then 'excluded'
            {%- if not flag('health_samplings_are_anchors') %}
            when measurements.anchor_type = 'health_sampling' then 'not_an_anchor'
            {%- endif %}
        end as unused_status
    from measurements
    inner join anchor_types on measurements.anchor_type = anchor_types.anchor_type
    left join measurement_activities
        on
            measurements.anchor_type = measurement_activities.anchor_type
            and measurements.record_id = measurement_activities.record_id
    left join exclusions
        on
            measurements.anchor_type = exclusions.anchor_type
            and measurements.record_id = exclusions.record_id
    where measurements.anchor_date <= {{ as_of_date() }}
),

ranked as (
    select
        *,
        min(precedence) filter (where unused_status is null) over (
            partition by assignment_id, anchor_date
        ) as best_precedence
    from judged
),

final as (
    select
        anchor_type,
        record_id,
        assignment_id,
        anchor_date,
        weight_g,
        sample_size,
        std_deviation_weight_g,
        case
            when unused_status is not null then unused_status
            when precedence = best_precedence then 'used'
            else 'superseded'
        end as anchor_status,
        exclusion_reason,
        planned_activity_id
    from ranked
)

select * from final
