with

source as (
    {{ source_rows('broodstock_eggproduction') }}
),

renamed as (
    select
        id as egg_production_id,
        pair_id as breeding_pair_id
    from source
)

select * from renamed
