"""The scenario, its models, and the rows that the parameters of a stage come from."""

from __future__ import annotations

from anchorline.errors import AnchorlineError
from anchorline.explain.facts import Before, Parameter, Parameters, Ref, Stay
from anchorline.explain.reader import Reader, Row, as_float


def read_parameters(
    reader: Reader, stay: Stay, row: Row, before: Before, growth_formula: str
) -> Parameters:
    """Read the parameters of the period and stage, and the rows of the models they come from."""
    found = reader.row(
        """
        select
            parameters.*,
            next_stages.lifecycle_stage_name as next_lifecycle_stage_name,
            scenarios.scenario_id,
            scenarios.scenario_name,
            scenarios.scenario_source,
            scenarios.tgc_model_id as scenario_tgc_model_id,
            scenarios.mortality_model_id as scenario_mortality_model_id,
            batches.pinned_projection_run_id,
            periods.tgc_model_id,
            periods.mortality_model_id,
            periods.constraint_set_id,
            tgc_models.tgc_model_name,
            tgc_models.tgc_value as model_tgc,
            tgc_models.exponent_n as model_n,
            tgc_models.exponent_m as model_m,
            overrides.tgc_model_stage_id,
            overrides.tgc_value as override_tgc,
            overrides.exponent_n as override_n,
            overrides.exponent_m as override_m,
            mortality_models.mortality_model_name,
            mortality_models.frequency,
            mortality_models.rate_percent,
            stage_rates.mortality_model_stage_id,
            stage_rates.daily_rate_percent,
            stage_rates.weekly_rate_percent,
            constraints.stage_constraint_id,
            constraints.max_weight_g as constraint_max_weight_g,
            baseline.lifecycle_stage_key as baseline_key,
            baseline.tgc as baseline_tgc,
            baseline.power_law_coefficient as baseline_coefficient,
            baseline.exponent_n as baseline_n,
            baseline.exponent_m as baseline_m,
            baseline.daily_mortality_rate_percent as baseline_rate_percent,
            limits.value as prescaled_tgc_limit,
            tgc_range.min_value as lowest_tgc,
            tgc_range.max_value as highest_tgc,
            array(
                select changes.scenario_model_change_id
                from {intermediate}.int_scenario_model_changes_checked as changes
                where
                    changes.scenario_id = scenarios.scenario_id
                    and changes.reject_reason is null
                    and greatest(changes.change_day, 1) <= periods.period_start_day
                order by changes.change_day, changes.scenario_model_change_id
            ) as model_change_ids
        from {intermediate}.int_growth_parameters as parameters
        inner join {intermediate}.int_scenario_periods as periods
            on
                parameters.batch_id = periods.batch_id
                and parameters.period_start_day = periods.period_start_day
        inner join {intermediate}.int_batch_scenarios as scenarios
            on parameters.batch_id = scenarios.batch_id
        inner join {staging}.stg_batches as batches on parameters.batch_id = batches.batch_id
        inner join {staging}.stg_lifecycle_stages as stages
            on parameters.lifecycle_stage_id = stages.lifecycle_stage_id
        left join {staging}.stg_lifecycle_stages as next_stages
            on parameters.next_lifecycle_stage_id = next_stages.lifecycle_stage_id
        left join {staging}.stg_tgc_models as tgc_models
            on periods.tgc_model_id = tgc_models.tgc_model_id
        left join lateral (
            select * from {staging}.stg_tgc_model_stages as stored
            where
                stored.tgc_model_id = periods.tgc_model_id
                and stored.lifecycle_stage_key = stages.lifecycle_stage_key
            order by stored.tgc_model_stage_id
            limit 1
        ) as overrides on true
        left join {staging}.stg_mortality_models as mortality_models
            on periods.mortality_model_id = mortality_models.mortality_model_id
        left join lateral (
            select * from {staging}.stg_mortality_model_stages as stored
            where
                stored.mortality_model_id = periods.mortality_model_id
                and stored.lifecycle_stage_key = stages.lifecycle_stage_key
            order by stored.mortality_model_stage_id
            limit 1
        ) as stage_rates on true
        left join lateral (
            select * from {staging}.stg_stage_constraints as stored
            where
                stored.constraint_set_id = periods.constraint_set_id
                and stored.lifecycle_stage_key = stages.lifecycle_stage_key
            order by stored.stage_constraint_id
            limit 1
        ) as constraints on true
        left join lateral (
            select * from {seeds}.baseline_stages as stored
            where stored.lifecycle_stage_key in (stages.lifecycle_stage_key, 'default')
            order by stored.lifecycle_stage_key = 'default'
            limit 1
        ) as baseline on true
        left join {seeds}.growth_constants as limits on limits.constant = 'prescaled_tgc_limit'
        left join {seeds}.plausible_ranges as tgc_range on tgc_range.quantity = 'tgc'
        where
            parameters.batch_id = %(batch_id)s
            and parameters.period_start_day = %(period)s
            and parameters.lifecycle_stage_id = %(stage)s
        """,
        batch_id=stay.batch_id,
        period=row["period_start_day"],
        stage=before.lifecycle_stage_id,
    )
    if found is None:
        raise AnchorlineError(
            f"Batch {stay.batch_number} has no growth parameters for its stage "
            f"{before.lifecycle_stage_name}. Run `dbt build`."
        )
    return _parameters_of(found, row, before, growth_formula)


def _parameters_of(found: Row, row: Row, before: Before, growth_formula: str) -> Parameters:
    stage = before.lifecycle_stage_name
    baseline_ref = Ref(f"baseline_stages.csv, {found['baseline_key']}", (), 0)
    has_tgc_model = found["tgc_model_id"] is not None
    override_ref = Ref.of("scenario_tgc_model_stage", found["tgc_model_stage_id"] or 0)
    model_ref = Ref.of("scenario_tgcmodel", found["tgc_model_id"] or 0)

    is_power_law = growth_formula == "power_law"

    def of_model(override: str, model: str, baseline: str) -> tuple[float | None, str, Ref]:
        if found[override] is not None:
            return as_float(found[override]), f"the TGC model's value for {stage}", override_ref
        if has_tgc_model and found[model] is not None:
            return as_float(found[model]), "the TGC model", model_ref
        return as_float(found[baseline]), "the baseline", baseline_ref

    if not is_power_law:
        for column in ("override_tgc", "model_tgc"):
            if not _is_plausible_tgc(found, found[column]):
                found[column] = None
    baseline_tgc = "baseline_coefficient" if is_power_law else "baseline_tgc"
    stored_tgc, tgc_from, tgc_ref = of_model("override_tgc", "model_tgc", baseline_tgc)
    exponent_n, n_from, n_ref = of_model("override_n", "model_n", "baseline_n")
    exponent_m, m_from, m_ref = of_model("override_m", "model_m", "baseline_m")
    percent, is_weekly, rate_from, rate_ref = _mortality_rate(found, stage, baseline_ref)
    has_constraint = found["constraint_max_weight_g"] is not None
    listed = (
        Parameter("TGC", found["tgc"], "", tgc_from, (tgc_ref,)),
        Parameter("Exponent n of the temperature", exponent_n, "", n_from, (n_ref,)),
        Parameter("Exponent m of the weight", exponent_m, "", m_from, (m_ref,)),
        Parameter(
            "Expected deaths",
            100 * found["daily_mortality_rate"],
            "% a day",
            rate_from,
            (rate_ref,),
        ),
        Parameter(
            "Stage ends at",
            found["max_weight_g"],
            "g",
            "the scenario's stage limits" if has_constraint else "the stage's expected weight",
            (
                Ref.of("scenario_stage_constraint", found["stage_constraint_id"])
                if has_constraint
                else Ref.of("batch_lifecyclestage", before.lifecycle_stage_id),
            ),
        ),
    )
    scenario_refs = []
    if found["scenario_source"] == "pinned_run":
        scenario_refs.append(Ref.of("scenario_projection_run", found["pinned_projection_run_id"]))
    if found["scenario_id"] is not None:
        scenario_refs.append(Ref.of("scenario", found["scenario_id"]))
    has_changed = (found["tgc_model_id"], found["mortality_model_id"]) != (
        found["scenario_tgc_model_id"],
        found["scenario_mortality_model_id"],
    )
    if has_changed and found["model_change_ids"]:
        scenario_refs.append(Ref.of("scenario_scenariomodelchange", *found["model_change_ids"]))
    model_refs = []
    if has_tgc_model:
        model_refs.append(model_ref)
    if found["mortality_model_id"] is not None:
        model_refs.append(Ref.of("scenario_mortalitymodel", found["mortality_model_id"]))
    return Parameters(
        scenario_source=found["scenario_source"],
        scenario_name=found["scenario_name"],
        scenario_refs=tuple(scenario_refs),
        tgc_model=found["tgc_model_name"] or "baseline",
        mortality_model=found["mortality_model_name"] or "baseline",
        model_refs=tuple(model_refs),
        tgc=found["tgc"],
        stored_tgc=stored_tgc or 0.0,
        prescaled_tgc_limit=float(found["prescaled_tgc_limit"]),
        exponent_n=exponent_n,
        exponent_m=exponent_m,
        daily_mortality_rate=found["daily_mortality_rate"],
        stored_rate_percent=percent,
        is_rate_weekly=is_weekly,
        max_weight_g=found["max_weight_g"],
        cap_weight_g=as_float(row["cap_weight_g"]),
        next_lifecycle_stage_id=found["next_lifecycle_stage_id"],
        next_lifecycle_stage_name=found["next_lifecycle_stage_name"],
        listed=listed,
    )


def _is_plausible_tgc(found: Row, stored: float | None) -> bool:
    """Whether a stored TGC, scaled where it is divided by 1000, lies in the plausible range."""
    if stored is None or found["lowest_tgc"] is None:
        return True
    factor = 1000 if stored < found["prescaled_tgc_limit"] else 1
    return bool(found["lowest_tgc"] <= stored * factor <= found["highest_tgc"])


def _mortality_rate(found: Row, stage: str, baseline_ref: Ref) -> tuple[float, bool, str, Ref]:
    """Find the stored rate in percent, whether it is weekly, and where it stands."""
    stage_ref = Ref.of("scenario_mortality_model_stage", found["mortality_model_stage_id"] or 0)
    model_ref = Ref.of("scenario_mortalitymodel", found["mortality_model_id"] or 0)
    is_model_weekly = found["frequency"] == "weekly"
    model_from = "the mortality model" + (", a weekly rate" if is_model_weekly else "")
    candidates = (
        (found["daily_rate_percent"], False, f"the mortality model's rate for {stage}", stage_ref),
        (
            found["weekly_rate_percent"],
            True,
            f"the mortality model's weekly rate for {stage}",
            stage_ref,
        ),
        (found["rate_percent"], is_model_weekly, model_from, model_ref),
    )
    for percent, is_weekly, comes_from, ref in candidates:
        if percent is not None and 0 <= percent <= 100:
            return float(percent), is_weekly, comes_from, ref
    return float(found["baseline_rate_percent"]), False, "the baseline", baseline_ref
