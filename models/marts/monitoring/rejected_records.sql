-- One row per raw record, or value of one, that is not used, and reason.
{{ config(indexes=[{'columns': ['table_name', 'record_id']}]) }}

with rejected as (
    select * from {{ ref('int_rejected_records') }}
),

rejected_parameters as (
    select * from {{ ref('int_rejected_parameters') }}
),

rejected_deaths as (
    select * from {{ ref('int_rejected_deaths') }}
),

final as (
    select
        table_name,
        record_id,
        reason,
        value
    from rejected

    union all

    select
        table_name,
        record_id,
        reason,
        value
    from rejected_parameters

    union all

    select
        table_name,
        record_id,
        reason,
        value
    from rejected_deaths
)

select * from final
