with

source as (
    {{ source_rows('broodstock_breedingpair') }}
),

renamed as (
    select
        id as breeding_pair_id,
        plan_id as breeding_plan_id
    from source
)

select * from renamed
