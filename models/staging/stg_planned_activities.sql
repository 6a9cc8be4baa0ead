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
        scenario_id,
        transfer_workflow_id,

        -- properties
        activity_type::text as activity_type,
        status::text as activity_status,
        notes,

        -- dates
        due_date,
        {{ local_date('completed_at') }} as completed_date,
        completed_at
    from source
)

select * from renamed
