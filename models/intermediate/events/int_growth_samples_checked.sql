-- One row per raw growth sample, with the reason why it is not used (null where it is).
{{ config(
    meta={'examined_by': ['assignment_id']},
    indexes=[
        {'columns': ['assignment_id']},
    ],
) }}

with growth_samples as (
    select * from {{ examined('stg_growth_samples') }}
),

assignments as (
    select * from {{ examined('int_assignments') }}
),

final as (
    select
        growth_samples.growth_sample_id,
        growth_samples.assignment_id,
        growth_samples.sample_date,
        growth_samples.sample_size,
        growth_samples.avg_weight_g,
        growth_samples.std_deviation_weight_g,
        case
            {{ reject_implausible_weight('growth_samples.avg_weight_g') }}
            {{ reject_unless_in_assignment('growth_samples.sample_date') }}
        end as reject_reason,
        case
            when
                growth_samples.avg_weight_g is null
                or not {{ is_plausible_weight('growth_samples.avg_weight_g') }}
                then growth_samples.avg_weight_g::text
            when assignments.assignment_id is null then growth_samples.assignment_id::text
            else growth_samples.sample_date::text
        end as reject_value
    from growth_samples
    left join assignments on growth_samples.assignment_id = assignments.assignment_id
)

select * from final
