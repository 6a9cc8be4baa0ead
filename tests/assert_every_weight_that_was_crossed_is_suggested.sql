-- A batch that began below the weight of an active template and was above it on some day has a
-- suggestion that has fired.
with templates as (
    select * from {{ ref('stg_activity_templates') }}
    where is_active and trigger_type = 'WEIGHT_THRESHOLD'
),

batch_days as (
    select * from {{ ref('daily_batch_states') }} where population > 0
),

weights as (
    select
        batch_id,
        (array_agg(avg_weight_g order by state_date))[1] as first_weight_g,
        max(avg_weight_g) as largest_weight_g
    from batch_days
    group by batch_id
),

suggestions as (
    select * from {{ ref('suggested_activities') }} where trigger_status = 'fired'
),

final as (
    select
        weights.batch_id,
        templates.activity_template_id,
        templates.weight_threshold_g
    from weights
    inner join templates
        on
            weights.first_weight_g < templates.weight_threshold_g - 0.0001
            and weights.largest_weight_g > templates.weight_threshold_g + 0.0001
    where
        not exists (
            select 1 from suggestions
            where
                suggestions.batch_id = weights.batch_id
                and suggestions.activity_template_id = templates.activity_template_id
        )
)

select * from final
