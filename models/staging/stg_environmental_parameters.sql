with

source as (
    {{ source_rows('environmental_environmentalparameter') }}
),

renamed as (
    select
        -- keys
        id as parameter_id,

        -- properties
        name::text as parameter_name,
        {{ fold_name('name') }} as parameter_key
    from source
)

select * from renamed
