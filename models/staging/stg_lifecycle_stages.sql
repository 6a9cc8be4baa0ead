with

source as (
    {{ source_rows('batch_lifecyclestage') }}
),

renamed as (
    select
        -- keys
        id as lifecycle_stage_id,
        species_id,

        -- properties
        name::text as lifecycle_stage_name,
        {{ fold_name('name') }} as lifecycle_stage_key,
        "order"::integer as stage_order,

        -- measures
        typical_duration_days,
        expected_weight_min_g::double precision as expected_weight_min_g,
        expected_weight_max_g::double precision as expected_weight_max_g
    from source
)

select * from renamed
