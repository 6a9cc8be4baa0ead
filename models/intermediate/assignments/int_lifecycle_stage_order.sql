-- One row per lifecycle stage: the stage that follows it in the species' order (null: the last).
with lifecycle_stages as (
    select * from {{ ref('stg_lifecycle_stages') }}
),

final as (
    select
        lifecycle_stage_id,
        species_id,
        lifecycle_stage_key,
        expected_weight_min_g,
        expected_weight_max_g,
        lead(lifecycle_stage_id) over (
            partition by species_id order by stage_order, lifecycle_stage_id
        ) as next_lifecycle_stage_id
    from lifecycle_stages
)

select * from final
