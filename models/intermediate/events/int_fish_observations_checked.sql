-- One row per fish weighed in a health sampling, with the reason why its weight is not used
-- (null where it is). Fish that were not weighed are left out.
{{ config(
    meta={'examined_by': ['health_sampling_event_id']},
    indexes=[
        {'columns': ['health_sampling_event_id']},
    ],
) }}

select
    individual_fish_observation_id,
    health_sampling_event_id,
    weight_g,
    case
        {{ reject_implausible_weight('weight_g') }}
    end as reject_reason
from {{ examined('stg_individual_fish_observations') }}
where weight_g is not null
