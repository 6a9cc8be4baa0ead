{{ config(meta={'examined_by': ['health_sampling_event_id']}) }}

with

source as (
    {{ source_rows('health_individualfishobservation') }}
),

renamed as (
    select
        -- keys
        id as individual_fish_observation_id,
        sampling_event_id as health_sampling_event_id,

        -- measures
        weight_g::double precision as weight_g,
        length_cm::double precision as length_cm
    from source
)

select * from renamed
