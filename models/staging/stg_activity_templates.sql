with

source as (
    {{ source_rows('planning_activitytemplate') }}
),

renamed as (
    select
        -- keys
        id as activity_template_id,
        target_lifecycle_stage_id,

        -- properties
        name::text as template_name,
        activity_type::text as activity_type,
        trigger_type::text as trigger_type,
        notes_template,
        is_active,

        -- measures
        day_offset,
        weight_threshold_g::double precision as weight_threshold_g
    from source
)

select * from renamed
