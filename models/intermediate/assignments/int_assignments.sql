-- One row per usable assignment: a batch's stay in one container, with its first and last day.
{{ config(
    meta={'examined_by': ['batch_id', 'assignment_id']},
    indexes=[
        {'columns': ['batch_id']},
        {'columns': ['assignment_id']},
    ],
) }}

with assignments as (
    select * from {{ examined('int_assignments_checked') }}
),

final as (
    select
        assignment_id,
        batch_id,
        container_id,
        species_id,
        lifecycle_stage_id,
        assignment_date,
        departure_date,
        coalesce(departure_date, last_date) as end_date,
        least(last_date, {{ as_of_date() }}) as last_active_date,
        is_active,
        batch_start_date,
        case when population_count >= 0 then population_count end as population_count,
        case when {{ is_plausible_weight('avg_weight_g') }} then avg_weight_g end as avg_weight_g
    from assignments
    where reject_reason is null
)

select * from final
