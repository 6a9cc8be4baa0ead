-- One row per FCR model, lifecycle stage and range of weights: the ranges of a stage lie side by
-- side and cover all weights. Where overrides overlap, the one with the lower id counts, and a
-- value out of range is not used.
{%- set is_plausible = 'between ' ~ plausible('fcr', 'min_value') ~ ' and '
    ~ plausible('fcr', 'max_value') %}

with model_stages as (
    select * from {{ ref('stg_fcr_model_stages') }}
),

overrides as (
    select * from {{ ref('stg_fcr_model_stage_overrides') }}
    where model_fcr {{ is_plausible }}
),

stages as (
    select distinct on (fcr_model_id, lifecycle_stage_id)
        fcr_model_stage_id,
        fcr_model_id,
        lifecycle_stage_id,
        case when model_fcr {{ is_plausible }} then model_fcr end as model_fcr
    from model_stages
    order by fcr_model_id, lifecycle_stage_id, fcr_model_stage_id
),

bounds as (
    select
        fcr_model_stage_id,
        0::double precision as weight_g
    from stages

    union

    select
        fcr_model_stage_id,
        min_weight_g as weight_g
    from overrides
    where min_weight_g > 0

    union

    select
        fcr_model_stage_id,
        max_weight_g as weight_g
    from overrides
    where max_weight_g > 0
),

ranges as (
    select
        fcr_model_stage_id,
        weight_g as min_weight_g,
        lead(weight_g, 1, 'infinity') over (
            partition by fcr_model_stage_id order by weight_g
        ) as max_weight_g
    from bounds
),

overridden as (
    select distinct on (ranges.fcr_model_stage_id, ranges.min_weight_g)
        ranges.fcr_model_stage_id,
        ranges.min_weight_g,
        overrides.model_fcr
    from ranges
    inner join overrides
        on
            ranges.fcr_model_stage_id = overrides.fcr_model_stage_id
            and ranges.min_weight_g >= overrides.min_weight_g
            and ranges.min_weight_g < overrides.max_weight_g
    order by
        ranges.fcr_model_stage_id, ranges.min_weight_g, overrides.fcr_model_stage_override_id
),

final as (
    select
        stages.fcr_model_id,
        stages.lifecycle_stage_id,
        ranges.min_weight_g,
        ranges.max_weight_g,
        coalesce(overridden.model_fcr, stages.model_fcr) as model_fcr
    from stages
    inner join ranges on stages.fcr_model_stage_id = ranges.fcr_model_stage_id
    left join overridden
        on
            ranges.fcr_model_stage_id = overridden.fcr_model_stage_id
            and ranges.min_weight_g = overridden.min_weight_g
)

select * from final
