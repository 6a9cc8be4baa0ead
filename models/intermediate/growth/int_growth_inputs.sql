-- One row per assignment and day on which the engine holds it: everything that the day needs,
-- every gap filled, every value's source named. The recursion's only daily input.
--
-- (How many days come from the assignments' spans the planner cannot know; when in doubt it would
-- merge all of an assignment's days with all of its days of feed or deaths.)
{{ config(
    meta={
        'examined_by': ['batch_id', 'assignment_id'],
        'examined_days': {'column': 'state_date', 'frame': 'inputs'},
    },
    indexes=[
        {'columns': ['assignment_id', 'state_date'], 'unique': true},
        {'columns': ['batch_id']},
    ],
    partial_indexes=['(container_id, state_date) where container_feed_kg is not null'],
    pre_hook='set local enable_mergejoin = off',
) }}

with active_days as (
    select * from {{ examined('int_active_days') }}
    where true{{ and_examined_days('state_date', ['batch_id', 'assignment_id']) }}
),

container_temperatures as (
    select * from {{ examined('int_container_temperatures') }}
    where true{{ and_examined_days('state_date', ['container_id']) }}
),

profile_temperatures as (
    select * from {{ ref('int_profile_temperatures') }}
),

periods as (
    select
        periods.*,
        coalesce(periods.temperature_profile_id, 0) as profile_id
    from {{ examined('int_scenario_periods', 'periods') }}
),

temp_confidences as (
    select * from {{ ref('confidence_by_source') }} where quantity = 'temp'
),

deaths as (
    select * from {{ examined('int_assignment_day_deaths') }}
    where true{{ and_examined_days('event_date', ['assignment_id']) }}
),

batch_deaths as (
    select * from {{ examined('int_batch_day_deaths') }}
    where true{{ and_examined_days('event_date', ['batch_id']) }}
),

anchors as (
    select * from {{ examined('int_anchors') }}
),

feed as (
    select * from {{ examined('int_assignment_day_feed') }}
    where true{{ and_examined_days('feeding_date', ['assignment_id']) }}
),

container_feed as (
    select * from {{ examined('int_container_day_feed') }}
),

arrivals as (
    select * from {{ examined('int_day_arrivals') }}
),

departures as (
    select * from {{ examined('int_day_departures') }}
),

parameter_hashes as (
    select * from {{ examined('int_growth_parameter_hashes') }}
),

stage_caps as (
    select * from {{ ref('int_stage_caps') }}
),

profile_spans as (
    select distinct
        temperature_profile_id,
        first_day,
        last_day
    from profile_temperatures
),

-- Beyond a profile's days its first or last one is held.
days as (
    select
        active_days.*,
        periods.period_start_day,
        periods.profile_id,
        case
            when active_days.is_in_transit then null
            else least(
                greatest(active_days.day_number, profile_spans.first_day),
                profile_spans.last_day
            )
        end as profile_day
    from active_days
    inner join periods
        on
            active_days.batch_id = periods.batch_id
            and greatest(active_days.day_number, 1) >= periods.period_start_day
            and (
                periods.next_period_start_day is null
                or greatest(active_days.day_number, 1) < periods.next_period_start_day
            )
    left join profile_spans
        on periods.profile_id = profile_spans.temperature_profile_id
),

joined as (
    select
        days.assignment_id,
        days.state_date,
        days.batch_id,
        days.container_id,
        days.day_number,
        case
            when days.is_in_transit then null
            else coalesce(container_temperatures.temp_c, profile_temperatures.temp_c)
        end as temp_c,
        case
            when days.is_in_transit then 'none'
            when container_temperatures.temp_c is not null then container_temperatures.temp_source
            when profile_temperatures.temp_c is not null then 'profile'
            else 'none'
        end as temp_source,
        case when not days.is_in_transit then container_temperatures.temp_confidence end
            as container_temp_confidence,
        days.period_start_day,
        case
            when days.is_in_transit then 0
            else deaths.recorded_deaths
        end as recorded_deaths,
        case
            when not days.is_in_transit then batch_deaths.batch_deaths
        end as batch_deaths,
        coalesce(arrivals.fish_count, 0) as arrived_count,
        coalesce(departures.fish_count, 0) as departed_count,
        case when not days.is_in_transit then anchors.weight_g end as anchor_weight_g,
        case when not days.is_in_transit then anchors.anchor_type end as anchor_type,
        case when not days.is_in_transit then anchors.weight_confidence end as anchor_confidence,
        case when not days.is_in_transit then anchors.planned_activity_id end
            as planned_activity_id,
        days.start_weight_g,
        case when days.start_weight_g is not null then days.lifecycle_stage_id end
            as start_lifecycle_stage_id,
        stage_caps.cap_weight_g,
        feed.feed_kg,
        container_feed.container_feed_kg,
        days.is_in_transit,
        arrivals.arrivals_hash,
        departures.departures_hash,
        parameter_hashes.parameters_hash
    from days
    left join container_temperatures
        on
            days.container_id = container_temperatures.container_id
            and days.state_date = container_temperatures.state_date
    left join profile_temperatures
        on
            days.profile_id = profile_temperatures.temperature_profile_id
            and days.profile_day = profile_temperatures.day_number
    left join deaths
        on days.assignment_id = deaths.assignment_id and days.state_date = deaths.event_date
    left join batch_deaths
        on days.batch_id = batch_deaths.batch_id and days.state_date = batch_deaths.event_date
    left join anchors
        on days.assignment_id = anchors.assignment_id and days.state_date = anchors.anchor_date
    left join feed
        on days.assignment_id = feed.assignment_id and days.state_date = feed.feeding_date
    left join container_feed
        on
            days.container_id = container_feed.container_id
            and days.state_date = container_feed.feeding_date
    left join arrivals
        on
            days.assignment_id = arrivals.to_assignment_id
            and days.state_date = arrivals.arrived_date
    left join departures
        on
            days.assignment_id = departures.from_assignment_id
            and days.state_date = departures.departed_date
    left join parameter_hashes
        on
            days.batch_id = parameter_hashes.batch_id
            and days.period_start_day = parameter_hashes.period_start_day
    left join stage_caps on days.lifecycle_stage_id = stage_caps.lifecycle_stage_id
),

final as (
    select
        joined.assignment_id,
        joined.state_date,
        joined.batch_id,
        joined.container_id,
        joined.day_number,
        joined.temp_c,
        joined.temp_source,
        coalesce(joined.container_temp_confidence, temp_confidences.confidence) as temp_confidence,
        joined.period_start_day,
        joined.recorded_deaths,
        joined.batch_deaths,
        joined.arrived_count,
        joined.departed_count,
        joined.anchor_weight_g,
        joined.anchor_type,
        joined.anchor_confidence,
        joined.planned_activity_id,
        joined.cap_weight_g,
        joined.feed_kg,
        joined.container_feed_kg,
        joined.is_in_transit,
        hash_record_extended(
            row(
                joined.*,
                joined.state_date = {{ as_of_date() }},
                {{ engine_version() }},
                '{{ growth_formula() }}'::text,
                '{{ missing_mortality() }}'::text
            ),
            0
        ) as input_hash
    from joined
    inner join temp_confidences on joined.temp_source = temp_confidences.source
)

-- Stored in the order in which the models that follow read the days: without sorting them again.
select * from final
order by assignment_id, state_date
