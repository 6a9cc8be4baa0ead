with

source as (
    {{ source_rows('infrastructure_containertype') }}
),

renamed as (
    select
        -- keys
        id as container_type_id,

        -- properties
        name::text as container_type_name,
        category::text as container_category
    from source
)

select * from renamed
