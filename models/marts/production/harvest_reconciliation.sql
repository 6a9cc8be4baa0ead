-- One row per batch and assignment (null: the whole batch) from which fish were harvested.
{{ config(
    meta={'published_by': 'batches'},
    indexes=[
        {'columns': ['batch_id', 'assignment_id'], 'unique': true},
        {'columns': ['assignment_id']},
    ],
) }}

with balances as (
    select * from {{ pending('int_harvest_balances', 'batches') }}
),

lives as (
    select * from {{ pending('int_assignment_production', 'batches') }}
    where period_type = 'life'
),

batch_lives as (
    select * from {{ pending('int_batch_production', 'batches') }}
    where period_type = 'life'
),

suspect_anchors as (
    select
        assignment_id,
        count(*) as suspect_anchor_count
    from {{ pending('weight_anchors', 'batches') }}
    where is_suspect
    group by assignment_id
),

stocking as (
    select * from {{ ref('int_stocking') }}
),

assignment_balances as (
    select * from {{ ref('int_assignment_balances') }}
),

batches as (
    select * from {{ ref('batches') }}
),

containers as (
    select * from {{ ref('containers') }}
),

error_bands as (
    select * from {{ ref('harvest_error_bands') }}
),

-- Numbers and biomass are compared once an assignment has ended: before, nobody knows what is left.
compared as (
    select
        balances.*,
        case
            when balances.is_finished and balances.state_date is not null
                then
                    balances.population
                    + balances.arrived_since_count
                    - balances.departed_otherwise_count
                    - balances.died_since_count
        end as modelled_count,
        (1000 * balances.live_weight_kg / nullif(balances.weighed_count, 0))::double precision
            as harvested_weight_g,
        balances.weighed_count = balances.harvested_count as is_all_weighed,
        stocking.stocking_source,
        stocking.rebuilt_from,
        assignment_balances.inferred_arrived_count,
        assignment_balances.inferred_departed_count,
        coalesce(suspect_anchors.suspect_anchor_count, 0) as suspect_anchor_count,
        lives.count_adjustment,
        lives.feed_kg,
        lives.growth_kg - lives.mortality_biomass_kg + lives.reset_kg + lives.adjustment_kg
            as net_growth_kg
    from balances
    left join stocking on balances.assignment_id = stocking.assignment_id
    left join assignment_balances
        on balances.assignment_id = assignment_balances.assignment_id
    left join lives on balances.assignment_id = lives.assignment_id
    left join suspect_anchors on balances.assignment_id = suspect_anchors.assignment_id
),

of_assignments as (
    select
        batch_id,
        assignment_id,
        container_id,
        1::bigint as container_count,
        case when is_finished then 1 else 0 end::bigint as finished_container_count,
        first_harvest_date,
        last_harvest_date,
        harvest_day_count,
        lot_count,
        state_date,
        population as population_before,
        weight_g as weight_before_g,
        remaining_count,
        modelled_count,
        case when modelled_count is not null then harvested_count end as compared_count,
        harvested_count,
        weighed_count,
        modelled_weight_g,
        harvested_weight_g,
        modelled_count * modelled_weight_g / 1000 as modelled_biomass_kg,
        case when is_all_weighed then live_weight_kg end as harvested_biomass_kg,
        gutted_live_weight_kg,
        gutted_weight_kg,
        modelled_harvested_biomass_kg,
        count_adjustment,
        inferred_arrived_count,
        inferred_departed_count,
        stocking_source,
        coalesce(stocking_source in ('rebuilt', 'inferred') and rebuilt_from = 'harvest', false)
            as is_count_from_harvest,
        is_arrival_inferred,
        weight_confidence as lowest_weight_confidence,
        last_anchor_date,
        state_date - last_anchor_date as days_since_last_anchor,
        suspect_anchor_count,
        feed_kg,
        net_growth_kg
    from compared
),

-- A batch's numbers are those of its finished containers, its weights those of all that were
-- weighed; what a single container lacks, the batch lacks.
summed as (
    select
        batch_id,
        count(*) as container_count,
        count(*) filter (where is_finished) as finished_container_count,
        min(first_harvest_date) as first_harvest_date,
        max(last_harvest_date) as last_harvest_date,
        sum(harvest_day_count)::bigint as harvest_day_count,
        sum(lot_count)::bigint as lot_count,
        sum(population)::bigint as population_before,
        (sum((population * weight_g)::numeric) / nullif(sum(population), 0))::double precision
            as weight_before_g,
        sum(remaining_count)::bigint as remaining_count,
        sum(modelled_count)::bigint as modelled_count,
        (sum(harvested_count) filter (where modelled_count is not null))::bigint
            as compared_count,
        sum(harvested_count)::bigint as harvested_count,
        sum(weighed_count)::bigint as weighed_count,
        case
            when bool_and(modelled_weight_g is not null)
                then (
                    1000 * sum(modelled_harvested_biomass_kg) / sum(harvested_count)
                )::double precision
        end as modelled_weight_g,
        (1000 * sum(live_weight_kg) / nullif(sum(weighed_count), 0))::double precision
            as harvested_weight_g,
        case
            when bool_and(modelled_count is not null and modelled_weight_g is not null)
                then sum((modelled_count * modelled_weight_g / 1000)::numeric)
        end as modelled_biomass_kg,
        case when bool_and(is_all_weighed) then sum(live_weight_kg) end as harvested_biomass_kg,
        sum(gutted_live_weight_kg) as gutted_live_weight_kg,
        sum(gutted_weight_kg) as gutted_weight_kg,
        sum(modelled_harvested_biomass_kg) as modelled_harvested_biomass_kg,
        sum(inferred_arrived_count)::bigint as inferred_arrived_count,
        sum(inferred_departed_count)::bigint as inferred_departed_count,
        coalesce(
            bool_or(stocking_source in ('rebuilt', 'inferred') and rebuilt_from = 'harvest'), false
        ) as is_count_from_harvest,
        bool_or(is_arrival_inferred) as is_arrival_inferred,
        min(weight_confidence) as lowest_weight_confidence,
        max(state_date - last_anchor_date) as days_since_last_anchor,
        sum(suspect_anchor_count)::bigint as suspect_anchor_count
    from compared
    group by batch_id
),

of_batches as (
    select
        summed.batch_id,
        null::bigint as assignment_id,
        null::bigint as container_id,
        summed.container_count,
        summed.finished_container_count,
        summed.first_harvest_date,
        summed.last_harvest_date,
        summed.harvest_day_count,
        summed.lot_count,
        null::date as state_date,
        summed.population_before,
        summed.weight_before_g,
        summed.remaining_count,
        summed.modelled_count,
        summed.compared_count,
        summed.harvested_count,
        summed.weighed_count,
        summed.modelled_weight_g,
        summed.harvested_weight_g,
        summed.modelled_biomass_kg,
        summed.harvested_biomass_kg,
        summed.gutted_live_weight_kg,
        summed.gutted_weight_kg,
        summed.modelled_harvested_biomass_kg,
        batch_lives.count_adjustment,
        summed.inferred_arrived_count,
        summed.inferred_departed_count,
        null::text as stocking_source,
        summed.is_count_from_harvest,
        summed.is_arrival_inferred,
        summed.lowest_weight_confidence,
        null::date as last_anchor_date,
        summed.days_since_last_anchor,
        summed.suspect_anchor_count,
        batch_lives.feed_kg,
        batch_lives.growth_kg
        - batch_lives.mortality_biomass_kg
        + batch_lives.reset_kg
        + batch_lives.adjustment_kg as net_growth_kg
    from summed
    left join batch_lives on summed.batch_id = batch_lives.batch_id
),

unioned as (
    select * from of_assignments
    union all
    select * from of_batches
),

erring as (
    select
        *,
        (100.0 * (modelled_count - compared_count) / compared_count)::numeric(24, 2)
            as number_error_percent,
        (100 * (modelled_weight_g - harvested_weight_g) / harvested_weight_g)::numeric(24, 2)
            as weight_error_percent,
        (100 * (modelled_biomass_kg - harvested_biomass_kg) / harvested_biomass_kg)
        ::numeric(24, 2) as biomass_error_percent,
        case
            when finished_container_count = container_count
                then net_growth_kg + harvested_biomass_kg - modelled_harvested_biomass_kg
        end as harvested_net_growth_kg
    from unioned
),

final as (
    select
        -- which
        erring.batch_id,
        batches.batch_number,
        erring.assignment_id,
        erring.container_id,
        containers.container_name,
        erring.container_count,
        erring.finished_container_count,
        erring.finished_container_count = erring.container_count as is_finished,

        -- the harvest
        erring.first_harvest_date,
        erring.last_harvest_date,
        erring.harvest_day_count,
        erring.lot_count,
        erring.harvested_count,
        erring.weighed_count,
        erring.harvested_weight_g::numeric(12, 4) as harvested_weight_g,
        erring.harvested_biomass_kg::numeric(16, 3) as harvested_biomass_kg,
        (100 * erring.gutted_weight_kg / nullif(erring.gutted_live_weight_kg, 0))
        ::numeric(24, 2) as gutted_yield_percent,

        -- the model
        erring.state_date,
        erring.population_before,
        erring.weight_before_g::numeric(12, 4) as weight_before_g,
        erring.modelled_count,
        erring.modelled_weight_g::numeric(12, 4) as modelled_weight_g,
        erring.modelled_biomass_kg::numeric(16, 3) as modelled_biomass_kg,
        erring.remaining_count,

        -- how far apart
        erring.modelled_count - erring.compared_count as number_error,
        erring.number_error_percent,
        number_bands.error_band as number_error_band,
        (erring.modelled_weight_g - erring.harvested_weight_g)::numeric(12, 4)
            as weight_error_g,
        erring.weight_error_percent,
        weight_bands.error_band as weight_error_band,
        (erring.modelled_biomass_kg - erring.harvested_biomass_kg)::numeric(16, 3)
            as biomass_error_kg,
        erring.biomass_error_percent,
        biomass_bands.error_band as biomass_error_band,

        -- what may explain it
        erring.count_adjustment,
        erring.inferred_arrived_count,
        erring.inferred_departed_count,
        erring.stocking_source,
        erring.is_count_from_harvest,
        erring.is_arrival_inferred,
        erring.lowest_weight_confidence,
        erring.last_anchor_date,
        erring.days_since_last_anchor,
        erring.suspect_anchor_count,

        -- what it means for the feed
        erring.feed_kg::numeric(16, 4) as feed_kg,
        ({{ observed_fcr('erring.feed_kg', 'erring.net_growth_kg') }})::numeric(8, 3)
            as economic_fcr,
        ({{ observed_fcr('erring.feed_kg', 'erring.harvested_net_growth_kg') }})::numeric(8, 3)
            as economic_fcr_by_harvest_weight
    from erring
    left join batches on erring.batch_id = batches.batch_id
    left join containers on erring.container_id = containers.container_id
    left join error_bands as number_bands
        on {{ is_in_error_band('erring.number_error_percent', 'number_bands') }}
    left join error_bands as weight_bands
        on {{ is_in_error_band('erring.weight_error_percent', 'weight_bands') }}
    left join error_bands as biomass_bands
        on {{ is_in_error_band('erring.biomass_error_percent', 'biomass_bands') }}
)

select * from final
