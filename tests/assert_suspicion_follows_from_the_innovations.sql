-- A measurement is under suspicion where its innovation is beyond the limit, and drifting where the
-- innovations of one sign have added up. The sum that never falls below 0 is found without a
-- recursion: the sum of all, less the lowest that it has been.
with weight_filter as (
    select * from {{ ref('int_weight_filter') }} where observation_index > 0
),

anchors as (
    select * from {{ ref('weight_anchors') }} where is_used
),

constants as (
    select
        {{ smoothing_constant('suspect_innovation') }} as suspect_limit,
        {{ smoothing_constant('cusum_slack') }} as slack,
        {{ smoothing_constant('cusum_limit') }} as drift_limit
),

added as (
    select
        weight_filter.*,
        constants.suspect_limit,
        constants.drift_limit,
        sum(weight_filter.innovation - constants.slack) over observations as above_sum,
        sum(-weight_filter.innovation - constants.slack) over observations as below_sum
    from weight_filter
    cross join constants
    window
        observations as (
            partition by weight_filter.assignment_id order by weight_filter.observation_index
        )
),

cusums as (
    select
        *,
        greatest(
            above_sum - least(min(above_sum) over observations, 0),
            below_sum - least(min(below_sum) over observations, 0)
        ) as cusum
    from added
    window observations as (partition by assignment_id order by observation_index)
),

misjudged as (
    select
        assignment_id,
        observed_date
    from cusums
    where
        (
            abs(
                innovation
                - (observed_root - prior_root) / sqrt(prior_variance + observed_root_variance)
            ) <= 1e-9 * (1 + abs(innovation))
            and is_suspect = (abs(innovation) > suspect_limit)
            and (
                is_drifting = (cusum > drift_limit)
                or abs(cusum - drift_limit) <= 1e-9
            )
        ) is not true
),

unlike_the_filter as (
    select
        anchors.assignment_id,
        anchors.anchor_date as observed_date
    from anchors
    full join weight_filter
        on
            anchors.assignment_id = weight_filter.assignment_id
            and anchors.anchor_date = weight_filter.observed_date
    where
        anchors.is_suspect is distinct from weight_filter.is_suspect
        or anchors.is_drifting is distinct from weight_filter.is_drifting
        or abs(anchors.innovation - weight_filter.innovation) > 0.00501
),

final as (
    select * from misjudged
    union all
    select * from unlike_the_filter
)

select * from final
