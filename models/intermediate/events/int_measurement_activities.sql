-- One row per measurement that a completed sampling or vaccination asked for: that activity. (The
-- records have no key for it; a transfer's measurement has, by its workflow.)
{{ config(
    meta={'examined_by': ['assignment_id']},
    indexes=[
        {'columns': ['assignment_id']},
    ],
) }}

with measurements as (
    select
        'growth_sample' as anchor_type,
        growth_sample_id as record_id,
        assignment_id,
        sample_date as anchor_date,
        'SAMPLING' as activity_type
    from {{ examined('int_growth_samples_checked') }}
    where reject_reason is null

    union all

    select
        'vaccination' as anchor_type,
        treatment_id as record_id,
        assignment_id,
        sampling_date as anchor_date,
        'VACCINATION' as activity_type
    from {{ examined('int_vaccination_weighings') }}
    where reject_reason is null

    union all

    select
        'health_sampling' as anchor_type,
        health_sampling_event_id as record_id,
        assignment_id,
        sampling_date as anchor_date,
        'SAMPLING' as activity_type
    from {{ examined('int_health_samplings_checked') }}
    where reject_reason is null
),

assignments as (
    select * from {{ examined('int_assignments') }}
),

completed_activities as (
    select * from {{ ref('stg_planned_activities') }}
    where activity_status = 'COMPLETED' and completed_date <= {{ as_of_date() }}
),

final as (
    select distinct on (measurements.anchor_type, measurements.record_id)
        measurements.anchor_type,
        measurements.record_id,
        measurements.assignment_id,
        completed_activities.planned_activity_id
    from measurements
    inner join assignments on measurements.assignment_id = assignments.assignment_id
    inner join completed_activities
        on
            assignments.batch_id = completed_activities.batch_id
            and (
                completed_activities.container_id is null
                or assignments.container_id = completed_activities.container_id
            )
            and measurements.activity_type = completed_activities.activity_type
            and abs(measurements.anchor_date - completed_activities.completed_date)
            <= {{ planning_constant('measurement_window_days') }}
    order by
        measurements.anchor_type,
        measurements.record_id,
        abs(measurements.anchor_date - completed_activities.completed_date),
        completed_activities.container_id is null,
        completed_activities.planned_activity_id
)

select * from final
