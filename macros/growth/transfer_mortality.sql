{#-
  A transfer's recorded mortality where it is credible, else 0 (growth model, section 5): a lost
  fish is not a dead fish. Expects the columns transferred_count and mortality_during_transfer.
-#}
{% macro accepted_transfer_mortality() -%}
    case
        when {{ is_credible_transfer_mortality() }} then mortality_during_transfer
        else 0
    end
{%- endmacro %}


{% macro is_credible_transfer_mortality() -%}
    mortality_during_transfer
    <= {{ var('max_transfer_mortality_share') }} * (transferred_count + mortality_during_transfer)
{%- endmacro %}
