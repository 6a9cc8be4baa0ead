-- One row per assignment and day, in the 18 columns that the operational application reads.
{{ config(materialized='view', pre_hook="{{ drop_kept_operational_view() }}") }}

with daily_assignment_states as (
    select * from {{ ref('daily_assignment_states') }}
),

final as (
    {{ operational_states('daily_assignment_states') }}
)

select * from final
