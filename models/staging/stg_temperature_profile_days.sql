with

source as (
    {{ source_rows('scenario_temperaturereading') }}
),

renamed as (
    select
        -- keys
        reading_id as temperature_profile_day_id,
        profile_id as temperature_profile_id,

        -- dates
        day_number,

        -- measures
        temperature as temp_c
    from source
)

select * from renamed
