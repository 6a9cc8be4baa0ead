-- One row per batch, container (null: the whole batch), day and kind of sample: what the fish that
-- were taken out of the water weighed, several together. Excluded samples are left out.
{{ config(
    meta={'examined_by': ['batch_id']},
    indexes=[
        {'columns': ['batch_id', 'sample_date']},
    ],
) }}

with measurements as (
    select * from {{ examined('int_anchor_measurements') }}
    where
        anchor_type in ('growth_sample', 'vaccination', 'health_sampling')
        and anchor_status <> 'excluded'
),

assignments as (
    select * from {{ examined('int_assignments') }}
),

anchor_types as (
    select * from {{ ref('anchor_types') }}
),

growth_samples as (
    select * from {{ examined('stg_growth_samples') }}
),

sampling_events as (
    select * from {{ examined('stg_health_sampling_events') }}
),

vaccinations as (
    select * from {{ examined('int_vaccination_weighings') }}
),

lengths as (
    select
        'growth_sample' as anchor_type,
        growth_sample_id as record_id,
        avg_length_cm,
        condition_factor
    from growth_samples

    union all

    select
        'health_sampling' as anchor_type,
        health_sampling_event_id as record_id,
        avg_length_cm,
        condition_factor
    from sampling_events

    union all

    select
        'vaccination' as anchor_type,
        vaccinations.treatment_id as record_id,
        sampling_events.avg_length_cm,
        sampling_events.condition_factor
    from vaccinations
    inner join sampling_events
        on vaccinations.health_sampling_event_id = sampling_events.health_sampling_event_id
),

measured as (
    select
        assignments.batch_id,
        assignments.container_id,
        measurements.anchor_date as sample_date,
        measurements.anchor_type as sample_type,
        measurements.record_id,
        measurements.weight_g,
        measurements.sample_size,
        greatest(coalesce(measurements.sample_size, 1), 1) as fish_count,
        measurements.std_deviation_weight_g,
        measurements.anchor_status = 'used' as is_anchor,
        anchor_types.weight_confidence,
        coalesce(
            {{ condition_factor('measurements.weight_g', 'lengths.avg_length_cm') }},
            lengths.condition_factor
        ) as condition_factor
    from measurements
    inner join assignments on measurements.assignment_id = assignments.assignment_id
    inner join anchor_types on measurements.anchor_type = anchor_types.anchor_type
    left join lengths
        on
            measurements.anchor_type = lengths.anchor_type
            and measurements.record_id = lengths.record_id
),

-- Each for its container and for its batch.
counted as (
    select
        measured.batch_id,
        level.container_id,
        level.is_whole_batch,
        measured.sample_date,
        measured.sample_type,
        measured.record_id,
        measured.weight_g,
        measured.sample_size,
        measured.fish_count,
        measured.std_deviation_weight_g,
        measured.is_anchor,
        measured.weight_confidence,
        case
            when
                measured.condition_factor between {{ plausible('condition_factor', 'min_value') }}
                and {{ plausible('condition_factor', 'max_value') }}
                then measured.condition_factor
        end as condition_factor
    from measured
    cross join lateral (
        values (measured.container_id, false), (null, true)
    ) as level (container_id, is_whole_batch)
    where level.container_id is not null or level.is_whole_batch
),

summed as (
    select
        batch_id,
        container_id,
        sample_date,
        sample_type,
        count(*) as sample_count,
        count(std_deviation_weight_g) as deviation_count,
        sum(sample_size)::bigint as sample_size,
        sum(fish_count)::bigint as fish_count,
        sum(fish_count * weight_g order by record_id) as weight_sum,
        sum(
            fish_count * (weight_g * weight_g + std_deviation_weight_g * std_deviation_weight_g)
            order by record_id
        ) as squared_weight_sum,
        sum(fish_count * condition_factor order by record_id)
        / nullif(
            sum(fish_count) filter (where condition_factor is not null), 0
        ) as condition_factor,
        min(weight_g) as smallest_weight_g,
        min(std_deviation_weight_g) as smallest_std_deviation_g,
        min(weight_confidence) as confidence,
        bool_or(is_anchor) as is_anchor
    from counted
    group by batch_id, container_id, is_whole_batch, sample_date, sample_type
),

-- A single sample is taken exactly as recorded.
final as (
    select
        batch_id,
        container_id,
        sample_date,
        sample_type,
        case when sample_count = 1 then smallest_weight_g else weight_sum / fish_count end
            as weight_g,
        sample_size,
        case
            when sample_count = 1 then smallest_std_deviation_g
            when deviation_count = sample_count
                then
                    sqrt(
                        greatest(
                            squared_weight_sum / fish_count
                            - (weight_sum / fish_count) * (weight_sum / fish_count),
                            0
                        )
                    )
        end as std_deviation_weight_g,
        condition_factor,
        confidence,
        is_anchor
    from summed
)

select * from final
