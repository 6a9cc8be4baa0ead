with

source as (
    {{ source_rows('infrastructure_geography') }}
),

renamed as (
    select
        -- keys
        id as geography_id,

        -- properties
        name::text as geography_name
    from source
)

select * from renamed
