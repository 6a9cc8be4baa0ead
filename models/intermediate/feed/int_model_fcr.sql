-- One row per batch, period between model changes, lifecycle stage and range of weights: the FCR
-- that the plan in force expects.
--
-- Without an index: the rows of a batch are few, and with one the planner looks them up for each
-- of a million days.
{{ config(
    meta={'examined_by': ['batch_id']},
) }}

with periods as (
    select * from {{ examined('int_scenario_periods') }}
),

weight_ranges as (
    select * from {{ ref('int_fcr_weight_ranges') }}
),

final as (
    select
        periods.batch_id,
        -- the first period serves the days before it, too
        case when periods.period_start_day = 1 then -1000000 else periods.period_start_day end
            as first_day_number,
        coalesce(periods.next_period_start_day, 1000000) - 1 as last_day_number,
        weight_ranges.lifecycle_stage_id,
        weight_ranges.min_weight_g,
        weight_ranges.max_weight_g,
        weight_ranges.model_fcr
    from periods
    inner join weight_ranges on periods.fcr_model_id = weight_ranges.fcr_model_id
    where weight_ranges.model_fcr is not null
)

select * from final
