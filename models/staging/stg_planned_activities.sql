with

source as (
    {{ source_rows('planning_plannedactivity') }}
),

renamed as (
    select
        -- keys
        id as planned_activity_id,
        batch_id,
        container_id,

        -- properties
        activity_type::text as activity_type,
        status::text as activity_status,

        -- dates
        due_date
    from source
)

select * from renamed
