{#-
  The second half of a division into whole things by largest remainder.

  The caller has found, per receiver, `whole` = floor(amount * weight / total) and
  `remainder` = (amount * weight) % total, in integers. This adds what the flooring left, one
  each, to the largest remainders; on a tie to the lowest `tie_break`.
-#}
{% macro whole_share(amount, whole, remainder, partition_by, tie_break) -%}
    {{ whole }} + case
        when
            row_number() over (
                partition by {{ partition_by }}
                order by {{ remainder }} desc, {{ tie_break }}
            ) <= {{ amount }} - sum({{ whole }}) over (partition by {{ partition_by }})
            then 1
        else 0
    end
{%- endmacro %}
