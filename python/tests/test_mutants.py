"""The generator of mutants, on queries small enough to list what must come out."""

from __future__ import annotations

from pathlib import Path

import pytest

from devtools.mutants.equivalent import LIST, Equivalent, read_equivalents, stale
from devtools.mutants.farms import AS_OF, edge_farms, random_farms
from devtools.mutants.generator import KINDS, Mutant, Query
from devtools.mutants.seeds import changed_values


def changes(query: str, kind: str) -> list[str]:
    """What stands in the place of the query's `select ... from fish` under each mutant."""
    parsed = Query("fish", query)
    return [parsed.mutated(mutant).lower() for mutant in parsed.mutants if mutant.kind == kind]


def conditions(condition: str, kind: str) -> list[str]:
    """The WHERE clauses of the mutants of one kind."""
    mutated = changes(f"select a from fish where {condition}", kind)  # noqa: S608
    return [query.partition(" where ")[2] for query in mutated]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("a < b", ["a <= b"]),
        ("a >= b", ["a > b"]),
        ("a = b", ["a <> b"]),
        ("a is distinct from b", ["a is not distinct from b"]),
        ("a in (1, 2)", ["not a in (1, 2)"]),
        ("a between b and c", ["(a > b and a <= c)", "(a >= b and a < c)"]),
    ],
)
def test_comparisons_are_flipped(condition: str, expected: list[str]) -> None:
    assert conditions(condition, "comparison") == expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        # moved by a day, `<` is `<=`: flipped as well it would be the same mutant twice
        ("a.start_date < b.end_date", ["b.end_date + 1", "b.end_date - 1"]),
        ("state_date = coalesce(day, b)", ["coalesce(day, b) + 1", "coalesce(day, b) - 1"]),
        ("gap_days <= 14", ["14 + 1", "14 - 1"]),
        ("fish_count < 3", []),
        ("reading_date > '-infinity'", []),
    ],
)
def test_comparisons_of_days_are_moved_by_a_day(condition: str, expected: list[str]) -> None:
    mutated = conditions(condition, "day")
    assert len(mutated) == len(expected)
    for query, end in zip(mutated, expected, strict=True):
        assert query.endswith(end)


def test_an_equality_of_days_is_flipped_and_moved() -> None:
    assert conditions("start_date = end_date", "comparison") == ["start_date <> end_date"]
    assert len(conditions("start_date = end_date", "day")) == 2


def test_each_branch_of_a_case_is_dropped() -> None:
    mutated = changes("select case when a then 1 when b then 2 else 3 end as x from fish", "case")
    assert mutated == [
        "select case when false then 1 when b then 2 else 3 end as x from fish",
        "select case when a then 1 when false then 2 else 3 end as x from fish",
        "select case when a then 1 when b then 2 when false then 3 end as x from fish",
    ]


def test_a_case_with_an_operand_compares_with_nothing_instead() -> None:
    mutated = changes("select case a when 'x' then 1 else 2 end as x from fish", "case")
    assert "when null then 1" in mutated[0]


def test_each_arm_of_a_union_is_dropped() -> None:
    mutated = changes(
        "select a from x union all select b from y union all select c from z", "union"
    )
    assert sorted(mutated) == [
        "select a from x union all select b from y union all select c from z where false",
        "select a from x union all select b from y where false union all select c from z",
        "select a from x where false union all select b from y union all select c from z",
    ]


def test_an_arm_that_counts_has_no_row_at_all() -> None:
    mutated = changes("select count(*) as n from x union all select n from y", "union")
    assert any("where false having false" in query for query in mutated)


def test_parts_of_conditions_are_dropped() -> None:
    assert sorted(conditions("a and (b or c)", "condition")) == [
        "(b or c)",
        "a",
        "a and (b)",
        "a and (c)",
    ]
    assert conditions("a > b", "condition") == ["true"]


@pytest.mark.parametrize(
    ("expression", "kind", "expected"),
    [
        ("coalesce(a, b)", "coalesce", ["b", "a"]),
        ("coalesce(a + b, 0) * c", "coalesce", ["0 * c", "(a + b) * c"]),
        ("least(a, b)", "extreme", ["greatest(a, b)", "b", "a"]),
        ("min(a)", "extreme", ["max(a)"]),
        ("a + b", "arithmetic", ["a - b"]),
        ("a * b / c", "arithmetic", ["a * b * c", "a / b / c"]),
        ("end_date - start_date", "arithmetic", []),
        ("a * 0.2", "constant", ["a * 0.22", "a * 0.18"]),
        ("a - 1", "constant", ["a - 2", "a - 0"]),
        ("a is null", "null", ["not a is null"]),
        ("not a", "negation", ["a"]),
        ("row_number() over (partition by a order by b)", "order", ["order by b desc"]),
        ("row_number() over (partition by a order by b)", "partition", ["over (order by b)"]),
        ("sum(a order by b)", "order", []),
    ],
)
def test_expressions(expression: str, kind: str, expected: list[str]) -> None:
    mutated = changes(f"select {expression} as x from fish", kind)  # noqa: S608
    assert len(mutated) == len(expected)
    for part in expected:
        assert any(part in query for query in mutated), (part, mutated)


def test_left_joins_become_inner_joins() -> None:
    mutated = changes("select a from fish left join tank on fish.t = tank.t", "join")
    assert mutated == ["select a from fish inner join tank on fish.t = tank.t"]


def test_one_change_at_a_time_and_never_none() -> None:
    query = Query("fish", "select coalesce(a, 0) + 1 as x from fish where a < b and state_date = d")
    texts = [query.mutated(mutant) for mutant in query.mutants]
    assert query.sql not in texts
    assert len({mutant.address for mutant in query.mutants}) == len(texts)
    assert {mutant.kind for mutant in query.mutants} <= set(KINDS)


def identities(query: str) -> dict[str, str]:
    return {mutant.text: mutant.identity for mutant in Query("fish", query).mutants}


def test_a_mutant_keeps_its_name_when_the_rest_is_edited() -> None:
    before = identities("with tank as (select a from fish where a < b) select a from tank")
    after = identities(
        "with extra as (select 1 as one where true), -- new\n"
        'tank as (select a, c + d as e from "db"."s"."fish" where a < b) select a from tank'
    )
    flipped = "comparison in tank: a < b  =>  a <= b"
    assert before[flipped] == after[flipped]


def test_equal_changes_in_one_place_have_names_of_their_own() -> None:
    mutants = Query("fish", "select a < b as x, a < b as y from fish").mutants
    flipped = [mutant.identity for mutant in mutants if mutant.kind == "comparison"]
    assert len(set(flipped)) == 2


def test_a_mutant_is_found_again_where_vars_wrote_other_numbers() -> None:
    query = "select a from fish where gap < {} and state_date <= date '{}'"
    default = Query("fish", query.format(14, "2024-03-10"))
    other = Query("fish", query.format(21, "2025-01-01"))
    for mutant in default.mutants:
        found = other.find(mutant)
        assert found is not None
        assert (found.kind, found.place) == (mutant.kind, mutant.place)


def test_a_mutant_of_a_branch_that_is_not_there_is_not_found() -> None:
    default = Query("fish", "select a * b as x from fish")
    other = Query("fish", "select power(a, b) as x from fish")
    mutant = next(mutant for mutant in default.mutants if mutant.kind == "arithmetic")
    assert other.find(mutant) is None


def test_a_mutant_of_one_of_two_alike_is_found_by_its_number() -> None:
    query = "select {0} + a as x, {0} + a as y from fish"
    default, other = Query("fish", query.format(1)), Query("fish", query.format(5))
    for mutant in default.mutants:
        found = other.find(mutant)
        assert found is not None
        assert found.place == mutant.place


def test_fixtures_of_unit_tests_are_not_mutated() -> None:
    plain = Query("fish", "with tank as (select a from tanks where a > 2) select a from tank")
    tested = Query(
        "fish",
        "with __dbt__cte__tanks as (select 1 + 1 as a), "
        "tank as (select a from __dbt__cte__tanks where a > 2) select a from tank",
    )
    assert {m.identity for m in plain.mutants} == {m.identity for m in tested.mutants}


@pytest.mark.parametrize(
    ("value", "is_whole", "expected"),
    [
        (100, True, (110, 90)),
        (3, True, (4, 2)),
        (0.5, False, (0.55, 0.45)),
        (0.0, False, (0.1, -0.1)),
    ],
)
def test_seed_constants_change_by_a_tenth(
    value: float, is_whole: bool, expected: tuple[float, float]
) -> None:
    assert changed_values(value, is_whole=is_whole) == pytest.approx(expected)


# -- the list of equivalent mutants -------------------------------------------------------------


def test_an_entry_that_matches_no_mutant_is_reported() -> None:
    entries = [Equivalent("fish/1", "one", "why"), Equivalent("fish/2", "two", "why")]
    assert stale(entries, {"fish/1"}) == [entries[1]]


def test_an_entry_without_a_reason_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "list.yml"
    file.write_text("- mutants: {fish/1: text}\n")
    with pytest.raises(ValueError, match="without a reason"):
        read_equivalents(file)


def test_an_entry_stands_in_the_list_once(tmp_path: Path) -> None:
    file = tmp_path / "list.yml"
    group = "- reason: why\n  mutants: {fish/1: text}\n"
    file.write_text(group * 2)
    with pytest.raises(ValueError, match="twice"):
        read_equivalents(file)


def test_the_list_can_be_read() -> None:
    for address, entry in read_equivalents(LIST).items():
        assert address.count("/") == 1
        assert entry.text
        assert entry.reason


def test_a_mutants_address_is_its_model_and_identity() -> None:
    mutant = Mutant("fish", "case", "tank", "when a then b", "", 3, 0)
    assert mutant.address == f"fish/{mutant.identity}"
    assert len(mutant.identity) == 10


def test_of_a_long_clause_only_the_change_is_shown() -> None:
    others = ", ".join(f"column_{number}" for number in range(40))
    query = f"select coalesce({others}, a + 1) as x from fish"  # noqa: S608
    added = next(m for m in Query("fish", query).mutants if m.kind == "arithmetic")
    assert added.text.endswith(", column_38, column_39, a [+  =>  -] 1) AS x")
    assert len(added.text) < 120


# -- farms --------------------------------------------------------------------------------------


@pytest.mark.parametrize("formula", ["cube_root", "power_law"])
def test_farms_in_one_database_share_no_row(formula: str) -> None:
    variables = {"as_of_date": AS_OF.isoformat(), "growth_formula": formula}
    for farms in (list(edge_farms(variables)), list(random_farms(1, 5, 10, variables))):
        keys = [
            (table, *list(row.values())[: 4 if table == "calibrated_tgc" else 1])
            for farm in farms
            for table, rows in farm.rows.items()
            for row in rows
        ]
        assert len(set(keys)) == len(keys)
        numbers = [row["batch_number"] for farm in farms for row in farm.rows["batch_batch"]]
        assert len(set(numbers)) == len(numbers)


def test_farms_are_repeated_by_their_seed() -> None:
    variables = {"as_of_date": AS_OF.isoformat()}
    first, again = (list(random_farms(3, 0, 2, variables)) for _ in range(2))
    other = list(random_farms(4, 0, 2, variables))
    assert first == again
    assert first != other
