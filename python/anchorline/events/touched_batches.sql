-- Which batches a written row concerns, and from which day on: one query per watched table.
--
-- Each becomes part of a trigger function (see `watched.py`). `touched` holds the rows that a
-- statement has inserted, deleted or changed (of a change the old and the new row), with the
-- columns that the models read and a `row_id`. All other names are raw tables, or tables that
-- people write into, with the columns that the models read: what an instance lacks reads as null
-- or as empty. `local_day()` is the day of an instant in the time zone of the farm.
--
-- The day is that of the record, or the first day of what it is about. A row for which the query
-- finds no batch calls for a scan, unless the section says otherwise:
--   only:    rows that the models read; others call for nothing
--   unused:  where no batch uses the row, nothing depends on it: no event
--   scan:    the row belongs to no batch: always a scan

-- shared: scenario_batches
-- The scenarios of each batch: its own ones, and those that it is pinned to.
select
    scenario.scenario_id,
    batches.id as batch_id,
    batches.start_date
from scenario
inner join batch_batch as batches on scenario.batch_id = batches.id

union all

select
    batches.pinned_scenario_id as scenario_id,
    batches.id as batch_id,
    batches.start_date
from batch_batch as batches
where batches.pinned_scenario_id is not null

union all

select
    runs.scenario_id,
    batches.id as batch_id,
    batches.start_date
from scenario_projection_run as runs
inner join batch_batch as batches on runs.run_id = batches.pinned_projection_run_id

-- shared: tgc_model_batches
select
    scenario.tgc_model_id,
    used.batch_id,
    used.start_date
from scenario
inner join scenario_batches as used on scenario.scenario_id = used.scenario_id

union all

select
    changes.new_tgc_model_id as tgc_model_id,
    used.batch_id,
    used.start_date
from scenario_scenariomodelchange as changes
inner join scenario_batches as used on changes.scenario_id = used.scenario_id
where changes.new_tgc_model_id is not null

-- shared: mortality_model_batches
select
    scenario.mortality_model_id,
    used.batch_id,
    used.start_date
from scenario
inner join scenario_batches as used on scenario.scenario_id = used.scenario_id

union all

select
    changes.new_mortality_model_id as mortality_model_id,
    used.batch_id,
    used.start_date
from scenario_scenariomodelchange as changes
inner join scenario_batches as used on changes.scenario_id = used.scenario_id
where changes.new_mortality_model_id is not null

-- shared: fcr_model_batches
select
    scenario.fcr_model_id,
    used.batch_id,
    used.start_date
from scenario
inner join scenario_batches as used on scenario.scenario_id = used.scenario_id

union all

select
    changes.new_fcr_model_id as fcr_model_id,
    used.batch_id,
    used.start_date
from scenario_scenariomodelchange as changes
inner join scenario_batches as used on changes.scenario_id = used.scenario_id
where changes.new_fcr_model_id is not null

-- table: batch_species
-- unused: no event
select
    touched.row_id,
    batches.id as batch_id,
    batches.start_date as from_date
from touched
inner join batch_batch as batches on touched.id = batches.species_id

-- table: batch_lifecyclestage
-- unused: no event
select
    touched.row_id,
    batches.id as batch_id,
    batches.start_date as from_date
from touched
inner join batch_batch as batches on touched.species_id = batches.species_id

union all

select
    touched.row_id,
    assignments.batch_id,
    assignments.assignment_date as from_date
from touched
inner join batch_batchcontainerassignment as assignments
    on touched.id = assignments.lifecycle_stage_id

-- table: batch_batch
select
    touched.row_id,
    touched.id as batch_id,
    touched.start_date as from_date
from touched

-- table: batch_batchcontainerassignment
-- `population_count` is live, and lowered with each death; it counts as a change all the same,
-- because it is all that the first count of many assignments can be rebuilt from.
select
    touched.row_id,
    touched.batch_id,
    touched.assignment_date as from_date
from touched

-- table: batch_growthsample
select
    touched.row_id,
    assignments.batch_id,
    touched.sample_date as from_date
from touched
inner join batch_batchcontainerassignment as assignments on touched.assignment_id = assignments.id

-- table: batch_batchtransferworkflow
-- unused: no event
-- The models read the planned activity of its completed transfers.
select
    touched.row_id,
    assignments.batch_id,
    actions.actual_execution_date as from_date
from touched
inner join batch_transferaction as actions on touched.id = actions.workflow_id
inner join batch_batchcontainerassignment as assignments
    on assignments.id = any(array[actions.source_assignment_id, actions.dest_assignment_id])
where actions.status = 'COMPLETED'

-- table: batch_transferaction
-- only: status = 'COMPLETED'
select
    touched.row_id,
    assignments.batch_id,
    touched.actual_execution_date as from_date
from touched
inner join batch_batchcontainerassignment as assignments
    on assignments.id = any(array[touched.source_assignment_id, touched.dest_assignment_id])

-- table: batch_mortalityevent
select
    touched.row_id,
    touched.batch_id,
    touched.event_date as from_date
from touched

union all

select
    touched.row_id,
    assignments.batch_id,
    touched.event_date as from_date
from touched
inner join batch_batchcontainerassignment as assignments on touched.assignment_id = assignments.id

-- table: health_mortalityrecord
select
    touched.row_id,
    touched.batch_id,
    local_day(touched.event_date) as from_date
from touched

union all

select
    touched.row_id,
    assignments.batch_id,
    local_day(touched.event_date) as from_date
from touched
inner join batch_batchcontainerassignment as assignments on touched.assignment_id = assignments.id

union all

select
    touched.row_id,
    assignments.batch_id,
    local_day(touched.event_date) as from_date
from touched
inner join batch_batchcontainerassignment as assignments
    on
        touched.container_id = assignments.container_id
        and assignments.assignment_date <= local_day(touched.event_date)
        and coalesce(assignments.departure_date >= local_day(touched.event_date), true)
where touched.batch_id is null and touched.assignment_id is null

-- table: batch_creationaction
-- only: status = 'COMPLETED'
select
    touched.row_id,
    assignments.batch_id,
    touched.actual_delivery_date as from_date
from touched
inner join batch_batchcontainerassignment as assignments
    on touched.dest_assignment_id = assignments.id

-- table: infrastructure_container
-- Its name stands in every state of every stay in it.
select
    touched.row_id,
    assignments.batch_id,
    assignments.assignment_date as from_date
from touched
inner join batch_batchcontainerassignment as assignments on touched.id = assignments.container_id

-- table: infrastructure_containertype
-- scan: always

-- table: infrastructure_hall
-- scan: always

-- table: infrastructure_area
-- scan: always

-- table: infrastructure_freshwaterstation
-- scan: always

-- table: infrastructure_geography
-- scan: always

-- table: environmental_environmentalparameter
-- scan: always

-- table: inventory_feedingevent
select
    touched.row_id,
    touched.batch_id,
    touched.feeding_date as from_date
from touched

union all

select
    touched.row_id,
    assignments.batch_id,
    touched.feeding_date as from_date
from touched
inner join batch_batchcontainerassignment as assignments
    on touched.batch_assignment_id = assignments.id

union all

select
    touched.row_id,
    assignments.batch_id,
    touched.feeding_date as from_date
from touched
inner join batch_batchcontainerassignment as assignments
    on
        touched.container_id = assignments.container_id
        and touched.feeding_date >= assignments.assignment_date
        and coalesce(touched.feeding_date <= assignments.departure_date, true)
where touched.batch_id is null and touched.batch_assignment_id is null

-- table: health_healthsamplingevent
select
    touched.row_id,
    assignments.batch_id,
    touched.sampling_date as from_date
from touched
inner join batch_batchcontainerassignment as assignments on touched.assignment_id = assignments.id

-- table: health_individualfishobservation
select
    touched.row_id,
    assignments.batch_id,
    samplings.sampling_date as from_date
from touched
inner join health_healthsamplingevent as samplings on touched.sampling_event_id = samplings.id
inner join batch_batchcontainerassignment as assignments
    on samplings.assignment_id = assignments.id

-- table: health_treatment
-- only: includes_weighing and sampling_event_id is not null
select
    touched.row_id,
    touched.batch_id,
    local_day(touched.treatment_date) as from_date
from touched

union all

select
    touched.row_id,
    assignments.batch_id,
    samplings.sampling_date as from_date
from touched
inner join health_healthsamplingevent as samplings on touched.sampling_event_id = samplings.id
inner join batch_batchcontainerassignment as assignments
    on samplings.assignment_id = assignments.id

-- table: harvest_harvestevent
select
    touched.row_id,
    touched.batch_id,
    local_day(touched.event_date) as from_date
from touched

union all

select
    touched.row_id,
    assignments.batch_id,
    local_day(touched.event_date) as from_date
from touched
inner join batch_batchcontainerassignment as assignments on touched.assignment_id = assignments.id

-- table: harvest_harvestlot
select
    touched.row_id,
    harvests.batch_id,
    local_day(harvests.event_date) as from_date
from touched
inner join harvest_harvestevent as harvests on touched.event_id = harvests.id

union all

select
    touched.row_id,
    assignments.batch_id,
    local_day(harvests.event_date) as from_date
from touched
inner join harvest_harvestevent as harvests on touched.event_id = harvests.id
inner join batch_batchcontainerassignment as assignments on harvests.assignment_id = assignments.id

-- table: scenario
-- unused: no event
-- The statement may be what takes the scenario away, so its own columns count, too.
select
    touched.row_id,
    batches.id as batch_id,
    batches.start_date as from_date
from touched
inner join batch_batch as batches on touched.batch_id = batches.id

union all

select
    touched.row_id,
    used.batch_id,
    used.start_date as from_date
from touched
inner join scenario_batches as used on touched.scenario_id = used.scenario_id

-- table: scenario_projection_run
-- unused: no event
select
    touched.row_id,
    batches.id as batch_id,
    batches.start_date as from_date
from touched
inner join batch_batch as batches on touched.run_id = batches.pinned_projection_run_id

-- table: scenario_scenarioprojection
-- unused: no event
select
    runs.row_id,
    batches.id as batch_id,
    batches.start_date as from_date
from (
    -- a run has a thousand days
    select
        min(touched.row_id) as row_id,
        touched.projection_run_id
    from touched
    group by touched.projection_run_id
) as runs
inner join batch_batch as batches on runs.projection_run_id = batches.pinned_projection_run_id

-- table: scenario_scenariomodelchange
-- unused: no event
-- A change day before the batch's first counts as the first.
select
    touched.row_id,
    used.batch_id,
    used.start_date + least(greatest(touched.change_day, 1), 36500) - 1 as from_date
from touched
inner join scenario_batches as used on touched.scenario_id = used.scenario_id

-- table: scenario_tgcmodel
-- unused: no event
select
    touched.row_id,
    used.batch_id,
    used.start_date as from_date
from touched
inner join tgc_model_batches as used on touched.model_id = used.tgc_model_id

-- table: scenario_tgc_model_stage
-- unused: no event
select
    touched.row_id,
    used.batch_id,
    used.start_date as from_date
from touched
inner join tgc_model_batches as used on touched.tgc_model_id = used.tgc_model_id

-- table: scenario_temperaturereading
-- unused: no event
select
    profiles.row_id,
    used.batch_id,
    used.start_date as from_date
from (
    -- a profile has a thousand days
    select
        min(touched.row_id) as row_id,
        touched.profile_id
    from touched
    group by touched.profile_id
) as profiles
inner join scenario_tgcmodel as models on profiles.profile_id = models.profile_id
inner join tgc_model_batches as used on models.model_id = used.tgc_model_id

-- table: scenario_mortalitymodel
-- unused: no event
select
    touched.row_id,
    used.batch_id,
    used.start_date as from_date
from touched
inner join mortality_model_batches as used on touched.model_id = used.mortality_model_id

-- table: scenario_mortality_model_stage
-- unused: no event
select
    touched.row_id,
    used.batch_id,
    used.start_date as from_date
from touched
inner join mortality_model_batches as used
    on touched.mortality_model_id = used.mortality_model_id

-- table: planning_plannedactivity
-- (What it asked for may have been measured the day before it was completed.)
select
    touched.row_id,
    touched.batch_id,
    least(touched.due_date, local_day(touched.completed_at) - 1) as from_date
from touched

-- table: planning_activitytemplate
-- scan: always

-- table: broodstock_batchparentage
select
    touched.row_id,
    touched.batch_id,
    local_day(touched.assignment_date) as from_date
from touched

-- table: broodstock_eggproduction
-- unused: no event
select
    touched.row_id,
    parentages.batch_id,
    local_day(parentages.assignment_date) as from_date
from touched
inner join broodstock_batchparentage as parentages on touched.id = parentages.egg_production_id

-- table: broodstock_breedingpair
-- unused: no event
select
    touched.row_id,
    parentages.batch_id,
    local_day(parentages.assignment_date) as from_date
from touched
inner join broodstock_eggproduction as productions on touched.id = productions.pair_id
inner join broodstock_batchparentage as parentages
    on productions.id = parentages.egg_production_id

-- table: broodstock_breedingtraitpriority
-- unused: no event
select
    touched.row_id,
    parentages.batch_id,
    local_day(parentages.assignment_date) as from_date
from touched
inner join broodstock_breedingpair as pairs on touched.plan_id = pairs.plan_id
inner join broodstock_eggproduction as productions on pairs.id = productions.pair_id
inner join broodstock_batchparentage as parentages
    on productions.id = parentages.egg_production_id

-- table: scenario_fcrmodelstage
-- unused: no event
select
    touched.row_id,
    used.batch_id,
    used.start_date as from_date
from touched
inner join fcr_model_batches as used on touched.model_id = used.fcr_model_id

-- table: scenario_fcr_model_stage_override
-- unused: no event
select
    touched.row_id,
    used.batch_id,
    used.start_date as from_date
from touched
inner join scenario_fcrmodelstage as stages on touched.fcr_stage_id = stages.id
inner join fcr_model_batches as used on stages.model_id = used.fcr_model_id

-- table: scenario_stage_constraint
-- unused: no event
select
    touched.row_id,
    used.batch_id,
    used.start_date as from_date
from touched
inner join scenario on touched.constraint_set_id = scenario.biological_constraints_id
inner join scenario_batches as used on scenario.scenario_id = used.scenario_id

-- table: manual_anchors
select
    touched.row_id,
    assignments.batch_id,
    touched.anchor_date as from_date
from touched
inner join batch_batchcontainerassignment as assignments on touched.assignment_id = assignments.id

-- table: anchor_exclusions
select
    touched.row_id,
    assignments.batch_id,
    samples.sample_date as from_date
from touched
inner join batch_growthsample as samples on touched.record_id = samples.id
inner join batch_batchcontainerassignment as assignments on samples.assignment_id = assignments.id
where touched.anchor_type = 'growth_sample'

union all

select
    touched.row_id,
    assignments.batch_id,
    actions.actual_execution_date as from_date
from touched
inner join batch_transferaction as actions on touched.record_id = actions.id
inner join batch_batchcontainerassignment as assignments
    on assignments.id = any(array[actions.source_assignment_id, actions.dest_assignment_id])
where touched.anchor_type = 'transfer'

union all

select
    touched.row_id,
    assignments.batch_id,
    samplings.sampling_date as from_date
from touched
inner join health_treatment as treatments on touched.record_id = treatments.id
inner join health_healthsamplingevent as samplings on treatments.sampling_event_id = samplings.id
inner join batch_batchcontainerassignment as assignments
    on samplings.assignment_id = assignments.id
where touched.anchor_type = 'vaccination'

union all

select
    touched.row_id,
    assignments.batch_id,
    samplings.sampling_date as from_date
from touched
inner join health_healthsamplingevent as samplings on touched.record_id = samplings.id
inner join batch_batchcontainerassignment as assignments
    on samplings.assignment_id = assignments.id
where touched.anchor_type = 'health_sampling'

union all

select
    touched.row_id,
    assignments.batch_id,
    anchors.anchor_date as from_date
from touched
inner join manual_anchors as anchors on touched.record_id = anchors.manual_anchor_id
inner join batch_batchcontainerassignment as assignments on anchors.assignment_id = assignments.id
where touched.anchor_type = 'manual'

-- table: calibrations
-- scan: always

-- table: calibrated_tgc
-- scan: always
