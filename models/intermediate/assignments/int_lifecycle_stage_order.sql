-- One row per lifecycle stage: the stage that follows it, of the species' next higher order (null:
-- the last). Of several with that order, which are alternatives, the one with the lowest id.
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
        min(lifecycle_stage_id) over (
            partition by species_id order by stage_order
            groups between 1 following and 1 following
        ) as next_lifecycle_stage_id
    from lifecycle_stages
)

select * from final
