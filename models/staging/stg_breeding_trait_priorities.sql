with

source as (
    {{ source_rows('broodstock_breedingtraitpriority') }}
),

renamed as (
    select
        -- keys
        id as breeding_trait_priority_id,
        plan_id as breeding_plan_id,

        -- properties
        {{ fold_name('trait_name') }} as trait_key,

        -- measures
        priority_weight
    from source
)

select * from renamed
