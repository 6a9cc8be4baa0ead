-- Every assignment has one state on each of its active days, and none on another day.
with growth_states as (
    select * from {{ ref('int_growth_states') }} where not is_in_transit
),

active as (
    select
        assignment_id,
        assignment_date as first_date,
        last_active_date as last_date,
        last_active_date - assignment_date + 1 as day_count
    from {{ ref('int_assignments') }}
    where last_active_date >= assignment_date
),

computed as (
    select
        assignment_id,
        min(state_date) as first_date,
        max(state_date) as last_date,
        count(distinct state_date) as day_count,
        count(*) as state_count
    from growth_states
    group by assignment_id
),

final as (
    select
        coalesce(active.assignment_id, computed.assignment_id) as assignment_id,
        active.day_count as active_day_count,
        computed.day_count,
        computed.state_count
    from active
    full join computed on active.assignment_id = computed.assignment_id
    where
        (
            active.first_date = computed.first_date
            and active.last_date = computed.last_date
            and active.day_count = computed.day_count
            and active.day_count = computed.state_count
        ) is not true
)

select * from final
