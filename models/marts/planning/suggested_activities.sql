-- One row per batch and active template whose trigger has fired or is expected to: what is to be
-- done, when and why, and whether it is planned.
{{ config(
    meta={'published_by': 'batches', 'published_also': 'examined'},
    indexes=[
        {'columns': ['batch_id', 'activity_template_id'], 'unique': true},
    ],
) }}

with triggers as (
    select * from {{ pending('int_activity_triggers', 'batches') }}
),

coverage as (
    select * from {{ pending('int_activity_coverage', 'batches') }}
),

templates as (
    select * from {{ ref('stg_activity_templates') }}
),

batches as (
    select * from {{ ref('batches') }}
),

assignments as (
    select * from {{ ref('int_assignments') }}
),

containers as (
    select * from {{ ref('containers') }}
),

lifecycle_stages as (
    select * from {{ ref('lifecycle_stages') }}
),

named as (
    select
        triggers.*,
        batches.batch_number,
        batches.scenario_id,
        templates.template_name,
        templates.activity_type,
        templates.trigger_type,
        templates.day_offset,
        templates.weight_threshold_g,
        templates.target_lifecycle_stage_id,
        lifecycle_stages.lifecycle_stage_name as target_lifecycle_stage_name,
        assignments.container_id as first_container_id,
        containers.container_name as first_container_name,
        {{ template_notes('templates') }} as notes,
        coverage.planned_activity_id,
        coverage.covered_by,
        coverage.planned_activity_id is not null as is_covered,
        {{ suggestion_marker('triggers.activity_template_id') }} as suggestion_marker
    from triggers
    inner join templates on triggers.activity_template_id = templates.activity_template_id
    left join batches on triggers.batch_id = batches.batch_id
    left join coverage
        on
            triggers.batch_id = coverage.batch_id
            and triggers.activity_template_id = coverage.activity_template_id
    left join assignments on triggers.first_assignment_id = assignments.assignment_id
    left join containers on assignments.container_id = containers.container_id
    left join lifecycle_stages
        on templates.target_lifecycle_stage_id = lifecycle_stages.lifecycle_stage_id
),

explained as (
    select
        *,
        {{ suggestion_reason() }} as reason,
        has_fish
        and not is_covered
        and abs(triggered_date - {{ as_of_date() }})
        <= {{ planning_constant('planning_horizon_days') }} as needs_planning
    from named
),

final as (
    select
        -- which
        batch_id,
        batch_number,
        activity_template_id,
        template_name,
        activity_type,
        scenario_id,

        -- what triggers it
        trigger_type,
        day_offset,
        weight_threshold_g::numeric(12, 4) as weight_threshold_g,
        target_lifecycle_stage_id,
        target_lifecycle_stage_name,
        trigger_status,
        triggered_date,
        trigger_weight_g::numeric(12, 4) as trigger_weight_g,
        trigger_population,
        first_container_id,
        first_container_name,
        first_container_date,
        half_of_fish_date,

        -- what is to be done
        due_date,
        notes,
        reason,

        -- whether it is planned
        planned_activity_id,
        covered_by,
        is_covered,
        needs_planning,
        suggestion_marker
    from explained
)

select * from final
