{{ config(meta={'examined_by': ['assignment_id']}) }}

with

source as (
    {{ source_rows('batch_creationaction') }}
),

renamed as (
    select
        -- keys
        id as creation_action_id,
        dest_assignment_id as assignment_id,

        -- properties
        status::text as creation_status,

        -- dates
        actual_delivery_date,

        -- measures
        egg_count_actual::bigint as egg_count_actual,
        mortality_on_arrival::bigint as mortality_on_arrival
    from source
)

select * from renamed
