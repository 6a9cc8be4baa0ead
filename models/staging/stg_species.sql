with

source as (
    {{ source_rows('batch_species') }}
),

renamed as (
    select
        -- keys
        id as species_id,

        -- properties
        name::text as species_name
    from source
)

select * from renamed
