-- Before the day on which a weight triggers an activity the batch weighed less, on every day.
with suggestions as (
    select * from {{ ref('suggested_activities') }} where trigger_type = 'WEIGHT_THRESHOLD'
),

batch_days as (
    select * from {{ ref('daily_batch_states') }} where population > 0
),

final as (
    select
        suggestions.batch_id,
        suggestions.activity_template_id,
        suggestions.triggered_date,
        batch_days.state_date,
        batch_days.avg_weight_g
    from suggestions
    inner join batch_days
        on
            suggestions.batch_id = batch_days.batch_id
            and suggestions.triggered_date > batch_days.state_date
    where batch_days.avg_weight_g > suggestions.weight_threshold_g
)

select * from final
