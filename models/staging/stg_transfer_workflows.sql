with

source as (
    {{ source_rows('batch_batchtransferworkflow') }}
),

renamed as (
    select
        id as transfer_workflow_id,
        batch_id,
        planned_activity_id
    from source
)

select * from renamed
