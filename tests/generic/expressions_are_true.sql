{#
    Each expression is true on every row: the equations of the business beside the model they are
    about. A row on which one is null fails, since nothing was proved there; write the case that
    may be null into the expression. One test for all equations of a model, which is read once;
    `failed` numbers those that a row breaks, from 1.

        data_tests:
          - expressions_are_true:
              arguments:
                expressions:
                  - abs(biomass_kg - population * avg_weight_g / 1000) <= 0.01
#}
{% test expressions_are_true(model, expressions) %}
select
    *,
    array_positions(array[
        {%- for expression in expressions %}
        ({{ expression }}) is true{{ ',' if not loop.last }}
        {%- endfor %}
    ], false) as failed
from {{ model }}
where
    {%- for expression in expressions %}
    {{ 'or ' if not loop.first }}({{ expression }}) is not true
    {%- endfor %}
{% endtest %}
