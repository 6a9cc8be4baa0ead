-- One row per raw health sampling event: its mean weight (that of its individual fish, else the
-- event's own) and the number of fish behind it.
{{ config(
    meta={'examined_by': ['assignment_id']},
    indexes=[
        {'columns': ['assignment_id']},
    ],
) }}

with sampling_events as (
    select * from {{ examined('stg_health_sampling_events') }}
),

fish as (
    select
        health_sampling_event_id,
        avg(weight_g::numeric)::double precision as avg_weight_g,
        stddev_samp(weight_g::numeric)::double precision as std_dev_weight_g,
        count(*) as fish_count
    from {{ examined('int_fish_observations_checked') }}
    where reject_reason is null
    group by health_sampling_event_id
),

final as (
    select
        sampling_events.health_sampling_event_id,
        sampling_events.assignment_id,
        sampling_events.sampling_date,
        coalesce(fish.avg_weight_g, sampling_events.avg_weight_g) as weight_g,
        case
            when fish.fish_count is null then sampling_events.std_dev_weight_g
            else fish.std_dev_weight_g
        end as std_deviation_weight_g,
        coalesce(fish.fish_count, sampling_events.fish_sampled_count) as sample_size
    from sampling_events
    left join fish
        on sampling_events.health_sampling_event_id = fish.health_sampling_event_id
)

select * from final
