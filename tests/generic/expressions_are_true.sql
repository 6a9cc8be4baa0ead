{#
    The expression is true on every row: an equation of the business beside the model it is about.
    A row on which it is null fails, since nothing was proved there; write the case that may be
    null into the expression.

        data_tests:
          - expression_is_true:
              arguments:
                expression: abs(biomass_kg - population * avg_weight_g / 1000) <= 0.01
#}
{% test expression_is_true(model, expression, column_name=none) %}
select *
from {{ model }}
where ({{ column_name ~ ' ' if column_name }}{{ expression }}) is not true
{% endtest %}
