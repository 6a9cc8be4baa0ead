{#-
  The line at the end of an activity's notes that says from which template it was suggested, as an
  SQL expression. `anchorline planning publish` writes what stands in the mart.
-#}
{% macro suggestion_marker(activity_template_id) -%}
    '[anchorline suggestion ' || {{ activity_template_id }} || ']'
{%- endmacro %}


{#- What an activity of a template is to say: its notes, else its name. An SQL expression. -#}
{% macro template_notes(templates) -%}
    coalesce(nullif(btrim({{ templates }}.notes_template), ''), {{ templates }}.template_name)
{%- endmacro %}


{#- Why an activity is suggested, in a sentence. An SQL expression over the mart's columns. -#}
{% macro suggestion_reason() -%}
    case trigger_type
            when 'WEIGHT_THRESHOLD'
                then
                    case trigger_status
                        when 'fired' then 'The mean weight reached '
                        else 'The mean weight is expected to reach '
                    end
                    || {{ readable_number('weight_threshold_g') }} || ' g on ' || triggered_date
                    || ' (' || {{ readable_number('round(trigger_weight_g::numeric, 1)') }} || ' g)'
                    || coalesce(
                        ', in ' || first_container_name || ' on ' || first_container_date, ''
                    )
                    || '.'
            when 'STAGE_TRANSITION'
                then
                    case trigger_status
                        when 'fired' then 'The first fish entered '
                        else 'The first fish are expected to enter '
                    end
                    || coalesce(target_lifecycle_stage_name, 'the stage') || ' on ' || triggered_date
                    || coalesce(' in ' || first_container_name, '')
                    || ', at a mean weight of the batch of '
                    || {{ readable_number('round(trigger_weight_g::numeric, 1)') }} || ' g'
                    || coalesce('; half of them by ' || half_of_fish_date, '')
                    || '.'
            when 'DAY_OFFSET'
                then
                    triggered_date || ' is ' || day_offset || ' days after the batch started on '
                    || batch_start_date || '.'
            else
                'The breeding plan gives disease resistance a priority of '
                || {{ readable_number('resistance_priority') }} || ', which is below '
                || {{ readable_number(planning_constant('least_resistance_priority')) }} || '.'
        end
{%- endmacro %}
