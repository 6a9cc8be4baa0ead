-- One row per completed transfer whose fish were weighed: the mean weight of all fish of its
-- source before the move, and of those that stay (growth model, section 7).
{{ config(
    meta={'examined_by': ['assignment_id']},
    indexes=[
        {'columns': ['assignment_id']},
    ],
) }}

with transfers as (
    select * from {{ examined('int_transfer_actions_checked') }}
    where reject_reason is null and recorded_avg_weight_g is not null
),

selection_factors as (
    select * from {{ ref('selection_factors') }}
),

before_move as (
    select
        transfers.*,
        selection_factors.selection_method is not null as is_known_method,
        selection_factors.mean_weight_factor,
        transfers.measured_avg_weight_g * selection_factors.mean_weight_factor
            as mean_weight_before_g,
        transfers.source_population_before - transfers.transferred_count as staying_count
    from transfers
    left join selection_factors
        on transfers.selection_method = selection_factors.selection_method
),

final as (
    select
        transfer_action_id,
        source_assignment_id as assignment_id,
        departed_date as anchor_date,
        planned_activity_id,
        measured_sample_size as sample_size,
        measured_std_dev_weight_g as std_deviation_weight_g,
        mean_weight_before_g,
        case
            when
                mean_weight_factor <> 1
                and staying_count > 0
                and staying_count
                >= {{ growth_constant('min_staying_share') }} * source_population_before
                then
                    (
                        source_population_before * mean_weight_before_g
                        - transferred_count * measured_avg_weight_g
                    )
                    / staying_count
            else mean_weight_before_g
        end as weight_g,
        recorded_avg_weight_g,
        case
            when measured_avg_weight_g is null then 'weight out of range'
            when not is_known_method then 'unknown selection method'
        end as reject_reason,
        case
            when measured_avg_weight_g is null then recorded_avg_weight_g::text
            else selection_method
        end as reject_value
    from before_move
)

select * from final
