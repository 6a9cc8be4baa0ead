with

source as (
    {{ source_rows('environmental_environmentalreading') }}
),

renamed as (
    select
        -- keys
        id as reading_id,
        container_id,
        parameter_id,

        -- dates
        reading_time as reading_at,
        {{ local_date('reading_time') }} as reading_date,

        -- measures
        value as reading_value
    from source
)

select * from renamed
