-- One row per health sampling with a weight that no vaccination has claimed, with the reason
-- why it cannot be true (null where it can).
{{ config(
    meta={'examined_by': ['assignment_id']},
    indexes=[
        {'columns': ['assignment_id']},
    ],
) }}

with samplings as (
    select * from {{ examined('int_health_samplings') }} where weight_g is not null
),

vaccination_weighings as (
    select health_sampling_event_id
    from {{ examined('int_vaccination_weighings') }}
    where reject_reason is null
),

assignments as (
    select * from {{ examined('int_assignments') }}
),

final as (
    select
        samplings.health_sampling_event_id,
        samplings.assignment_id,
        samplings.sampling_date,
        samplings.weight_g,
        samplings.std_deviation_weight_g,
        samplings.sample_size,
        case
            {{ reject_implausible_weight('samplings.weight_g') }}
            {{ reject_unless_in_assignment('samplings.sampling_date') }}
        end as reject_reason,
        case
            when not {{ is_plausible_weight('samplings.weight_g') }} then samplings.weight_g::text
            when assignments.assignment_id is null then samplings.assignment_id::text
            else samplings.sampling_date::text
        end as reject_value
    from samplings
    left join assignments on samplings.assignment_id = assignments.assignment_id
    where
        not exists (
            select 1 from vaccination_weighings
            where
                vaccination_weighings.health_sampling_event_id
                = samplings.health_sampling_event_id
        )
)

select * from final
