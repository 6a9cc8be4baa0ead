with

source as (
    {{ source_rows('broodstock_batchparentage') }}
),

renamed as (
    select
        -- keys
        id as batch_parentage_id,
        batch_id,
        egg_production_id,

        -- dates
        {{ local_date('assignment_date') }} as parentage_date
    from source
)

select * from renamed
