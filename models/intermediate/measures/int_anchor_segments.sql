-- One row per weight measurement: what the model expected that day, and how far the
-- assignment's last anchor before it is away, unrounded.
{{ config(
    meta={'published_by': 'assignments'},
    indexes=[
        {'columns': ['assignment_id']},
    ],
) }}

with measurements as (
    select * from {{ pending('int_anchor_measurements', 'assignments') }}
),

transfer_weighings as (
    select * from {{ pending('int_transfer_weighings', 'assignments') }}
),

assignments as (
    select * from {{ pending('int_assignments', 'assignments') }}
),

-- (Not int_daily_measures, where what is pending limits the states alone.)
growth_states as (
    select * from {{ pending('int_growth_states', 'assignments') }}
),

growth_inputs as (
    select * from {{ pending('int_growth_inputs', 'assignments') }}
),

accumulated as (
    select
        growth_states.assignment_id,
        growth_states.state_date,
        growth_states.weight_g,
        growth_states.modelled_weight_g,
        sum(greatest(growth_inputs.temp_c, 0)) over assignment_days as degree_days,
        sum(growth_states.arrived_count) over assignment_days as arrived_count,
        max(case when growth_inputs.anchor_type is not null then growth_states.state_date end)
            over assignment_days as last_anchor_date
    from growth_states
    inner join growth_inputs
        on
            growth_states.assignment_id = growth_inputs.assignment_id
            and growth_states.state_date = growth_inputs.state_date
    where
        not growth_states.is_in_transit
        and exists (
            select 1 from measurements
            where measurements.assignment_id = growth_states.assignment_id
        )
    window
        assignment_days as (
            partition by growth_states.assignment_id order by growth_states.state_date
        )
),

-- The model knows all fish before a move, not the large or small ones that were left behind.
-- On the departure day there is no state: fish that leave do so before they grow.
expected as (
    select
        measurements.*,
        coalesce(transfer_weighings.mean_weight_before_g, measurements.weight_g)
            as compared_weight_g,
        assignments.batch_id,
        assignments.container_id,
        coalesce(same_day.modelled_weight_g, day_before.weight_g) as modelled_weight_g,
        coalesce(same_day.degree_days, day_before.degree_days) as degree_days,
        coalesce(same_day.arrived_count, day_before.arrived_count) as arrived_count,
        day_before.last_anchor_date
    from measurements
    left join assignments on measurements.assignment_id = assignments.assignment_id
    left join transfer_weighings
        on
            measurements.anchor_type = 'transfer'
            and measurements.record_id = transfer_weighings.transfer_action_id
    left join accumulated as same_day
        on
            measurements.assignment_id = same_day.assignment_id
            and measurements.anchor_date = same_day.state_date
    left join accumulated as day_before
        on
            measurements.assignment_id = day_before.assignment_id
            and measurements.anchor_date - 1 = day_before.state_date
),

final as (
    select
        expected.batch_id,
        expected.container_id,
        expected.assignment_id,
        expected.anchor_type,
        expected.record_id,
        expected.anchor_date,
        expected.weight_g,
        expected.compared_weight_g,
        expected.sample_size,
        expected.std_deviation_weight_g,
        expected.anchor_status,
        expected.exclusion_reason,
        expected.planned_activity_id,
        expected.modelled_weight_g,
        expected.last_anchor_date,
        last_anchor_days.weight_g as last_anchor_weight_g,
        expected.degree_days - last_anchor_days.degree_days as degree_days_since_last_anchor,
        (expected.arrived_count - last_anchor_days.arrived_count)::bigint
            as arrived_since_last_anchor_count
    from expected
    left join accumulated as last_anchor_days
        on
            expected.assignment_id = last_anchor_days.assignment_id
            and expected.last_anchor_date = last_anchor_days.state_date
)

select * from final
