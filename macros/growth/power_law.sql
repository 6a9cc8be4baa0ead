{#-
  With `growth_formula: power_law`, refuses coefficients that were not fitted in that form
  (growth model, section 6): a TGC of the cube-root form, used as it is, would multiply the
  weight of the fish within weeks. A coefficient of 0 (eggs) is no growth, and is accepted.
  Runs behind int_growth_parameters, whose models are those in force.
-#}
{% macro refuse_implausible_power_law() -%}
    {%- if execute and growth_formula() == 'power_law' -%}
        {%- set query -%}
            select distinct
                periods.tgc_model_id,
                lifecycle_stages.lifecycle_stage_key,
                parameters.tgc,
                {{ power_law_daily_growth('parameters') }} as daily_growth
            from {{ this }} as parameters
            inner join {{ ref('int_scenario_periods') }} as periods
                on
                    parameters.batch_id = periods.batch_id
                    and parameters.period_start_day = periods.period_start_day
            inner join {{ ref('int_lifecycle_stage_order') }} as lifecycle_stages
                on parameters.lifecycle_stage_id = lifecycle_stages.lifecycle_stage_id
            where
                parameters.tgc <> 0
                and not {{ is_plausible_power_law('parameters') }}
            order by 1, 2
        {%- endset -%}
        {%- set refused = run_query(query).rows -%}
        {%- if refused -%}
            {%- set lines = [] -%}
            {%- for row in refused -%}
                {%- do lines.append(
                    "  TGC model " ~ row[0] ~ ", stage " ~ row[1] ~ ": coefficient " ~ row[2]
                    ~ " grows a 1 kg fish at 10 °C by " ~ "%.2f" | format(row[3] * 100) ~ " % a day"
                ) -%}
            {%- endfor -%}
            {{ exceptions.raise_compiler_error(
                "growth_formula is power_law, but these coefficients were not fitted in that form:\n"
                ~ lines | join("\n")
                ~ "\nGive the models coefficients and exponents of W + TGC T^n W^m, or set the var "
                ~ "growth_formula to cube_root."
            ) }}
        {%- endif -%}
    {%- endif -%}
    select 1
{%- endmacro %}


{#- Growth of a 1 kg fish at 10 °C in a day, as a share of its weight, by a row's coefficients. -#}
{% macro power_law_daily_growth(parameters) -%}
    {{ parameters }}.tgc * power(10, {{ parameters }}.exponent_n)
    * power(1000, {{ parameters }}.exponent_m) / 1000
{%- endmacro %}


{#- Whether a row's coefficients can have been fitted in the form of a power law. -#}
{% macro is_plausible_power_law(parameters) -%}
    (
        {{ power_law_daily_growth(parameters) }}
        between {{ plausible('power_law_daily_growth', 'min_value') }}
        and {{ plausible('power_law_daily_growth', 'max_value') }}
    )
{%- endmacro %}
