with

source as (
    {{ source_rows('scenario_stage_constraint') }}
),

renamed as (
    select
        -- keys
        id as stage_constraint_id,
        constraint_set_id,

        -- properties
        {{ fold_name('lifecycle_stage') }} as lifecycle_stage_key,

        -- measures
        min_weight_g::double precision as min_weight_g,
        max_weight_g::double precision as max_weight_g
    from source
)

select * from renamed
