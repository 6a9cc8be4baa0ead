-- One row per batch that no scenario serves: it is grown with the baseline of the seeds.
{{ config(meta={'examined_by': ['batch_id']}) }}

with batch_scenarios as (
    select * from {{ examined('int_batch_scenarios') }}
),

batches as (
    select * from {{ examined('batches') }}
),

batch_days as (
    select * from {{ examined('int_batch_days') }}
),

state_days as (
    select
        batch_id,
        min(state_date) as first_state_date,
        max(state_date) as last_state_date
    from batch_days
    group by batch_id
),

final as (
    select
        batches.batch_id,
        batches.batch_number,
        batches.batch_status,
        batches.batch_type,
        batches.start_date,
        state_days.first_state_date,
        state_days.last_state_date
    from batch_scenarios
    inner join batches on batch_scenarios.batch_id = batches.batch_id
    left join state_days on batch_scenarios.batch_id = state_days.batch_id
    where batch_scenarios.scenario_source = 'baseline'
)

select * from final
