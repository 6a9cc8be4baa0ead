-- One row per assignment and day with an anchor: its measurements of the best kind, averaged by
-- sample size.
{{ config(
    meta={'examined_by': ['assignment_id']},
    indexes=[
        {'columns': ['assignment_id']},
    ],
) }}

with measurements as (
    select
        *,
        greatest(coalesce(sample_size, 1), 1) as sample_weight
    from {{ examined('int_anchor_measurements') }}
    where anchor_status = 'used'
),

anchor_types as (
    select * from {{ ref('anchor_types') }}
),

averaged as (
    select
        assignment_id,
        anchor_date,
        anchor_type,
        case
            when count(*) = 1 then min(weight_g)
            else sum(weight_g * sample_weight order by record_id) / sum(sample_weight)
        end as weight_g,
        sum(sample_weight)::bigint as sample_size,
        count(*) as measurement_count,
        min(planned_activity_id) as planned_activity_id
    from measurements
    group by assignment_id, anchor_date, anchor_type
),

final as (
    select
        averaged.assignment_id,
        averaged.anchor_date,
        averaged.anchor_type,
        averaged.weight_g,
        anchor_types.weight_confidence,
        averaged.sample_size,
        averaged.measurement_count,
        averaged.planned_activity_id
    from averaged
    inner join anchor_types on averaged.anchor_type = anchor_types.anchor_type
)

select * from final
