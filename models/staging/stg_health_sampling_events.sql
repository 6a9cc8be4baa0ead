{{ config(meta={'examined_by': ['assignment_id']}) }}

with

source as (
    {{ source_rows('health_healthsamplingevent') }}
),

renamed as (
    select
        -- keys
        id as health_sampling_event_id,
        assignment_id,

        -- dates
        sampling_date,

        -- measures
        number_of_fish_sampled::bigint as fish_sampled_count,
        avg_weight_g::double precision as avg_weight_g,
        std_dev_weight_g::double precision as std_dev_weight_g,
        avg_length_cm::double precision as avg_length_cm,
        avg_k_factor::double precision as condition_factor
    from source
)

select * from renamed
