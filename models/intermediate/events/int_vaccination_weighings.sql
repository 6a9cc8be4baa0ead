-- One row per treatment that includes a weighing: the linked sampling, and the reason why it is
-- not used (null where it is). A treatment without a linked sampling has nothing to use.
{{ config(
    meta={'examined_by': ['batch_id']},
    indexes=[
        {'columns': ['batch_id']},
    ],
) }}

with treatments as (
    select * from {{ examined('stg_treatments') }}
    where includes_weighing and health_sampling_event_id is not null
),

samplings as (
    select * from {{ ref('int_health_samplings') }}
),

assignments as (
    select * from {{ ref('int_assignments') }}
),

final as (
    select
        treatments.treatment_id,
        treatments.health_sampling_event_id,
        treatments.batch_id,
        samplings.assignment_id,
        samplings.sampling_date,
        samplings.weight_g,
        samplings.std_deviation_weight_g,
        samplings.sample_size,
        case
            when samplings.health_sampling_event_id is null then 'linked sampling is missing'
            when assignments.batch_id <> treatments.batch_id
                then 'linked sampling belongs to another batch'
            when
                abs(samplings.sampling_date - treatments.treatment_date)
                > {{ plausible('vaccination_sampling_gap', 'max_value') }}
                then 'linked sampling lies too many days away'
            {{ reject_implausible_weight('samplings.weight_g') }}
            {{ reject_unless_in_assignment('samplings.sampling_date') }}
        end as reject_reason,
        case
            when samplings.health_sampling_event_id is null
                then treatments.health_sampling_event_id::text
            when assignments.batch_id <> treatments.batch_id then assignments.batch_id::text
            when
                samplings.weight_g is null or not {{ is_plausible_weight('samplings.weight_g') }}
                then samplings.weight_g::text
            else samplings.sampling_date::text
        end as reject_value
    from treatments
    left join samplings
        on treatments.health_sampling_event_id = samplings.health_sampling_event_id
    left join assignments on samplings.assignment_id = assignments.assignment_id
)

select * from final
