-- One row per assignment and observation, and its row 0 before its first day: what the filter
-- expected (prior), what it made of the observation (filtered), and what is known in hindsight
-- (smoothed), as cube roots of the mean weight.
--
-- Two recursions, both over events and never over days. The filter goes forward: each pass takes
-- every assignment to its next event, an observation or fish that leave for the start of another.
-- These take a share of the variance with them; the other waits until all its shares are there.
-- The smoother goes back over the observations, each assignment by itself.
{{ config(
    meta={'published_by': 'assignments'},
    indexes=[
        {'columns': ['assignment_id', 'observation_index'], 'unique': true},
    ],
) }}

with recursive

process_noise as (
    select {{ smoothing_constant('process_noise') }} as noise
),

cusum as (
    select
        {{ smoothing_constant('cusum_slack') }} as slack,
        {{ smoothing_constant('cusum_limit') }} as drift_limit,
        {{ smoothing_constant('suspect_innovation') }} as suspect_limit
),

starts as (
    select * from {{ pending('int_smoothing_starts', 'assignments') }}
),

observations as (
    select * from {{ pending('int_weight_observations', 'assignments') }}
),

arrivals as (
    select * from {{ pending('int_smoothing_arrivals', 'assignments') }}
),

source_days as (
    select * from {{ ref('int_smoothing_days') }}
),

-- Fish that bring their variance with them, at the end of the day before they left.
handovers as materialized (
    select
        arrivals.source_assignment_id,
        arrivals.assignment_id as to_assignment_id,
        arrivals.movement_key,
        arrivals.fish_share,
        source_days.state_date as event_date,
        source_days.degree_days
    from arrivals
    inner join source_days
        on
            arrivals.source_assignment_id = source_days.assignment_id
            and arrivals.departed_date - 1 = source_days.state_date
),

events as (
    select
        assignment_id,
        start_date as event_date,
        1 as event_order,
        0::double precision as degree_days,
        0::double precision as root_drift,
        start_root,
        source_count,
        outside_variance,
        0::bigint as observation_index,
        null::double precision as observed_root,
        null::double precision as observed_root_variance,
        null::bigint as to_assignment_id,
        null::text as movement_key,
        null::double precision as fish_share
    from starts

    union all

    select
        assignment_id,
        observed_date as event_date,
        2 as event_order,
        degree_days,
        root_drift,
        null as start_root,
        null as source_count,
        null as outside_variance,
        observation_index,
        observed_root,
        observed_root_variance,
        null as to_assignment_id,
        null as movement_key,
        null as fish_share
    from observations

    union all

    select
        source_assignment_id as assignment_id,
        event_date,
        3 as event_order,
        degree_days,
        null as root_drift,
        null as start_root,
        null as source_count,
        null as outside_variance,
        null as observation_index,
        null as observed_root,
        null as observed_root_variance,
        to_assignment_id,
        movement_key,
        fish_share
    from handovers
),

-- The events of an assignment, in order.
steps as materialized (
    select
        *,
        row_number() over (
            partition by assignment_id
            order by event_date, event_order, movement_key, to_assignment_id
        ) as step_number
    from events
),

first_steps as materialized (
    select * from steps where observation_index = 0
),

-- Where each assignment has come to. A row without observation_index is no observation: with a
-- movement_key it is a share of a start's variance that waits for the others.
filter as (
    select
        -- which
        assignment_id,
        step_number,
        observation_index,
        null::text as movement_key,
        event_date as observed_date,
        -- what was seen
        observed_root,
        observed_root_variance,
        start_root as prior_root,
        outside_variance as prior_variance,
        null::double precision as innovation,
        -- the moving state
        degree_days,
        root_drift,
        start_root as filtered_root,
        outside_variance as filtered_variance,
        0::double precision as high_run,
        0::double precision as low_run
    from first_steps
    where source_count = 0

    {%- if is_scoped() %}

    union all

    -- shares of sources to which nothing has happened, from their stored rows
    (
        select distinct on (handovers.movement_key, handovers.to_assignment_id)
            handovers.to_assignment_id as assignment_id,
            null::bigint as step_number,
            null::bigint as observation_index,
            handovers.movement_key,
            null::date as observed_date,
            null::double precision as observed_root,
            null::double precision as observed_root_variance,
            null::double precision as prior_root,
            null::double precision as prior_variance,
            null::double precision as innovation,
            null::double precision as degree_days,
            null::double precision as root_drift,
            null::double precision as filtered_root,
            handovers.fish_share * (
                stored.filtered_variance
                + process_noise.noise * (handovers.degree_days - stored.degree_days)
            ) as filtered_variance,
            null::double precision as high_run,
            null::double precision as low_run
        from handovers
        inner join {{ this }} as stored
            on
                handovers.source_assignment_id = stored.assignment_id
                and handovers.event_date >= stored.observed_date
        cross join process_noise
        order by
            handovers.movement_key asc,
            handovers.to_assignment_id asc,
            stored.observation_index desc
    )
    {%- endif %}

    union all

    (
        with latest as materialized (
            select * from filter
        ),

        expected as materialized (
            select
                steps.*,
                latest.degree_days as last_degree_days,
                latest.root_drift as last_root_drift,
                latest.filtered_root as last_root,
                latest.filtered_variance as last_variance,
                latest.high_run,
                latest.low_run,
                latest.filtered_root + (steps.root_drift - latest.root_drift) as prior_root,
                latest.filtered_variance
                + process_noise.noise * (steps.degree_days - latest.degree_days)
                    as prior_variance
            from latest
            inner join steps
                on
                    latest.assignment_id = steps.assignment_id
                    and latest.step_number + 1 = steps.step_number
            cross join process_noise
        ),

        observed as (
            select
                *,
                prior_variance / (prior_variance + observed_root_variance) as gain,
                (observed_root - prior_root) / sqrt(prior_variance + observed_root_variance)
                    as innovation
            from expected
            where observation_index is not null
        ),

        handing_over as (
            select * from expected where observation_index is null
        ),

        shares as materialized (
            select
                to_assignment_id as assignment_id,
                movement_key,
                fish_share * prior_variance as variance_share
            from handing_over

            union all

            select
                assignment_id,
                movement_key,
                filtered_variance as variance_share
            from latest
            where movement_key is not null
        ),

        gathered as (
            select
                assignment_id,
                count(*) as source_count,
                sum(variance_share order by movement_key) as sources_variance
            from shares
            group by assignment_id
        ),

        -- the starts of which all shares are there
        starting as materialized (
            select
                first_steps.*,
                first_steps.outside_variance + gathered.sources_variance as start_variance
            from gathered
            inner join first_steps
                on
                    gathered.assignment_id = first_steps.assignment_id
                    and gathered.source_count = first_steps.source_count
        )

        select
            observed.assignment_id,
            observed.step_number,
            observed.observation_index,
            null as movement_key,
            observed.event_date as observed_date,
            observed.observed_root,
            observed.observed_root_variance,
            observed.prior_root,
            observed.prior_variance,
            observed.innovation,
            observed.degree_days,
            observed.root_drift,
            observed.prior_root + observed.gain * (observed.observed_root - observed.prior_root)
                as filtered_root,
            (1 - observed.gain) * observed.prior_variance as filtered_variance,
            greatest(observed.high_run + observed.innovation - cusum.slack, 0) as high_run,
            greatest(observed.low_run - observed.innovation - cusum.slack, 0) as low_run
        from observed
        cross join cusum

        union all

        -- the fish that stay are as they were
        select
            assignment_id,
            step_number,
            null as observation_index,
            null as movement_key,
            null as observed_date,
            null as observed_root,
            null as observed_root_variance,
            null as prior_root,
            null as prior_variance,
            null as innovation,
            last_degree_days as degree_days,
            last_root_drift as root_drift,
            last_root as filtered_root,
            last_variance as filtered_variance,
            high_run,
            low_run
        from handing_over

        union all

        select
            assignment_id,
            step_number,
            observation_index,
            null as movement_key,
            event_date as observed_date,
            observed_root,
            observed_root_variance,
            start_root as prior_root,
            start_variance as prior_variance,
            null as innovation,
            degree_days,
            root_drift,
            start_root as filtered_root,
            start_variance as filtered_variance,
            0 as high_run,
            0 as low_run
        from starting

        union all

        select
            shares.assignment_id,
            null as step_number,
            null as observation_index,
            shares.movement_key,
            null as observed_date,
            null as observed_root,
            null as observed_root_variance,
            null as prior_root,
            null as prior_variance,
            null as innovation,
            null as degree_days,
            null as root_drift,
            null as filtered_root,
            shares.variance_share as filtered_variance,
            null as high_run,
            null as low_run
        from shares
        where
            not exists (
                select 1 from starting
                where starting.assignment_id = shares.assignment_id
            )
    )
),

filtered as materialized (
    select
        *,
        observation_index = max(observation_index) over (partition by assignment_id) as is_last
    from filter
    where observation_index is not null
),

smoother as (
    select
        assignment_id,
        observation_index,
        prior_root,
        prior_variance,
        filtered_root as smoothed_root,
        filtered_variance as smoothed_variance,
        null::double precision as smoothed_covariance
    from filtered
    where is_last

    union all

    (
        with later as materialized (
            select * from smoother
        ),

        gained as (
            select
                filtered.*,
                filtered.filtered_variance / later.prior_variance as gain,
                later.smoothed_root - later.prior_root as root_correction,
                later.smoothed_variance - later.prior_variance as variance_correction,
                later.smoothed_variance as later_variance
            from later
            inner join filtered
                on
                    later.assignment_id = filtered.assignment_id
                    and later.observation_index - 1 = filtered.observation_index
        )

        select
            assignment_id,
            observation_index,
            prior_root,
            prior_variance,
            filtered_root + gain * root_correction as smoothed_root,
            filtered_variance + gain * gain * variance_correction as smoothed_variance,
            gain * later_variance as smoothed_covariance
        from gained
    )
),

final as (
    select
        filtered.assignment_id,
        filtered.observation_index,
        filtered.observed_date,
        filtered.degree_days,
        filtered.root_drift,
        filtered.observed_root,
        filtered.observed_root_variance,
        filtered.prior_root,
        filtered.prior_variance,
        filtered.filtered_root,
        filtered.filtered_variance,
        filtered.innovation,
        abs(filtered.innovation) > cusum.suspect_limit as is_suspect,
        case
            when filtered.innovation is not null
                then greatest(filtered.high_run, filtered.low_run) > cusum.drift_limit
        end as is_drifting,
        smoother.smoothed_root,
        smoother.smoothed_variance,
        smoother.smoothed_covariance
    from filtered
    inner join smoother
        on
            filtered.assignment_id = smoother.assignment_id
            and filtered.observation_index = smoother.observation_index
    cross join cusum
)

select * from final
