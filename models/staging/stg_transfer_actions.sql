{{ config(meta={'examined_by': ['source_assignment_id', 'dest_assignment_id']}) }}

with

source as (
    {{ source_rows('batch_transferaction') }}
),

renamed as (
    select
        -- keys
        id as transfer_action_id,
        workflow_id as transfer_workflow_id,
        source_assignment_id,
        dest_assignment_id,

        -- properties
        status::text as transfer_status,
        selection_method::text as selection_method,

        -- dates
        actual_execution_date,

        -- measures
        source_population_before::bigint as source_population_before,
        transferred_count::bigint as transferred_count,
        mortality_during_transfer::bigint as mortality_during_transfer,
        measured_avg_weight_g::double precision as measured_avg_weight_g,
        measured_std_dev_weight_g::double precision as measured_std_dev_weight_g,
        measured_sample_size::bigint as measured_sample_size
    from source
)

select * from renamed
