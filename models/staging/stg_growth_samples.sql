{{ config(meta={'examined_by': ['assignment_id']}) }}

with

source as (
    {{ source_rows('batch_growthsample') }}
),

renamed as (
    select
        -- keys
        id as growth_sample_id,
        assignment_id,

        -- dates
        sample_date,

        -- measures
        sample_size::bigint as sample_size,
        avg_weight_g::double precision as avg_weight_g,
        std_deviation_weight::double precision as std_deviation_weight_g,
        avg_length_cm::double precision as avg_length_cm,
        condition_factor::double precision as condition_factor
    from source
)

select * from renamed
