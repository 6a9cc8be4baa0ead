"""The mutants of a query: every place at which one small change can be made, one at a time.

A query is parsed, each node of its tree offers the changes that its kind allows, and a mutant is
the query with one of them made. Nothing is chosen by hand. What stays stable when other parts of
the query are edited names a mutant: the model, the CTE, the kind of change, and the text of the
changed clause before and after.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import sqlglot
from sqlglot import exp

DIALECT: Final = "postgres"

KINDS: Final = {
    "arithmetic": "+ for -, * for /, and back",
    "case": "a branch of a CASE dropped",
    "coalesce": "an argument of coalesce dropped",
    "comparison": "< for <=, > for >=, = for <>, in for not in, and back",
    "condition": "a part of AND or OR, or a whole WHERE, dropped",
    "constant": "a number changed: whole ones by 1, others by 10 %; true for false",
    "day": "one side of a comparison of days moved by a day",
    "distinct": "DISTINCT dropped",
    "extreme": "least for greatest, min for max, and back; an argument dropped",
    "join": "an inner join for a left join",
    "negation": "NOT dropped",
    "null": "is null for is not null, and back",
    "order": "the order of a window or an aggregate turned round",
    "partition": "a column of PARTITION BY dropped",
    "seed": "a number in a seed changed by 10 %, whole ones by at least 1",
    "union": "an arm of a UNION dropped",
}
"""What is changed, by kind."""

_DAY: Final = re.compile(r"(_date|_days?|day_number|^today|^day|^date)$")
"""Names of columns that hold a day, or a number of days."""

_FIXTURE: Final = "__dbt__cte__"
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\d")
_VALUES: Final = re.compile(r"'[^']*'|\b\d+(\.\d+)?(e-?\d+)?\b", re.IGNORECASE)


_LONG: Final = 120
_AROUND: Final = 30


def _cut(text: str) -> str:
    return text if len(text) <= _LONG else f"{text[:_LONG]} ..."


def _difference(before: str, after: str) -> str:
    """Write two texts as one, `...same [before  =>  after] same...`."""
    shorter = min(len(before), len(after))
    start = next((i for i in range(shorter) if before[i] != after[i]), shorter)
    end = next(
        (i for i in range(shorter - start) if before[-1 - i] != after[-1 - i]), shorter - start
    )
    head, tail = before[:start], before[len(before) - end :]
    changed = f"[{_cut(before[start : len(before) - end])}  =>  "
    changed += f"{_cut(after[start : len(after) - end])}]"
    return (
        f"{'...' if len(head) > _AROUND else ''}{head[-_AROUND:]}{changed}"
        f"{tail[:_AROUND]}{'...' if len(tail) > _AROUND else ''}"
    )


@dataclass(frozen=True)
class Mutant:
    """One change of a model's query, or of a seed's value.

    `before` and `after` are the clause that is changed; `after` is empty where it is dropped.
    `place` is the index of the changed node in the walk through the query's tree, `change` that
    of the change among the node's. `ordinal` numbers equal changes of a CTE, `ordinal_of_shape`
    those that are equal but for their values.
    """

    model: str
    kind: str
    scope: str
    before: str
    after: str
    place: int
    change: int
    ordinal: int = 0
    ordinal_of_shape: int = 0

    @property
    def identity(self) -> str:
        """A short name that survives edits of other parts of the query."""
        text = "|".join(
            (self.model, self.kind, self.scope, self.before, self.after, str(self.ordinal))
        )
        return hashlib.sha256(text.encode()).hexdigest()[:10]

    @property
    def address(self) -> str:
        """Model and identity: what the list of equivalent mutants names."""
        return f"{self.model}/{self.identity}"

    @property
    def text(self) -> str:
        """The change in words; of a long clause only what changes, and a little around it."""
        if not self.after:
            change = f"without {_cut(self.before)}"
        elif len(self.before) + len(self.after) <= _LONG:
            change = f"{self.before}  =>  {self.after}"
        else:
            change = _difference(self.before, self.after)
        return f"{self.kind} in {self.scope}: {change}"


@dataclass(frozen=True)
class _Change:
    """A replacement for a node; `before` and `after` only where the clause would not tell."""

    kind: str
    replacement: exp.Expr
    before: str | None = None
    after: str | None = None


class Query:
    """A model's query as a tree, and its mutants."""

    def __init__(self, model: str, text: str) -> None:
        self.model = model
        tree = sqlglot.parse_one(text, dialect=DIALECT)
        for node in tree.walk():
            node.comments = None
            if isinstance(node, exp.Table):
                node.set("catalog", None)
        self._tree = without_fixtures(tree)

    @cached_property
    def mutants(self) -> tuple[Mutant, ...]:
        """All mutants, in the order of their places."""
        return tuple(self._numbered())

    @property
    def sql(self) -> str:
        """The query itself, parsed and written again."""
        return self._tree.sql(dialect=DIALECT)

    def mutated(self, mutant: Mutant, *, fixtures: exp.With | None = None) -> str:
        """Return the query with the mutant's change made."""
        tree = self._tree.copy()
        node = list(tree.walk())[mutant.place]
        replacement = list(_changes(node))[mutant.change].replacement
        if node is tree:
            tree = replacement
        else:
            node.replace(replacement)
        if fixtures is not None:
            tree = with_fixtures(tree, fixtures)
        return tree.sql(dialect=DIALECT)

    def find(self, mutant: Mutant) -> Mutant | None:
        """Find the same mutant here, where vars may have written other numbers and days."""
        same = self._by_identity.get(mutant.identity)
        return same or self._by_shape.get((*_shape(mutant), mutant.ordinal_of_shape))

    @cached_property
    def _by_identity(self) -> dict[str, Mutant]:
        return {mutant.identity: mutant for mutant in self.mutants}

    @cached_property
    def _by_shape(self) -> dict[tuple[str | int, ...], Mutant]:
        return {(*_shape(mutant), mutant.ordinal_of_shape): mutant for mutant in self.mutants}

    def _numbered(self) -> Iterator[Mutant]:
        seen: Counter[tuple[str, ...]] = Counter()
        for place, node in enumerate(self._tree.walk()):
            for number, change in enumerate(_changes(node)):
                before, after = _clause(node, change)
                mutant = Mutant(self.model, change.kind, _scope(node), before, after, place, number)
                same, alike = (mutant.kind, mutant.scope, before, after), _shape(mutant)
                yield replace(mutant, ordinal=seen[same], ordinal_of_shape=seen[("~", *alike)])
                seen[same] += 1
                seen[("~", *alike)] += 1


def _shape(mutant: Mutant) -> tuple[str, ...]:
    """Return what a mutant changes, without values, which vars may have written."""
    return (
        mutant.kind,
        mutant.scope,
        _VALUES.sub("?", mutant.before),
        _VALUES.sub("?", mutant.after),
    )


# -- where a change is --------------------------------------------------------------------------

_CLAUSE_ENDS: Final = (
    exp.And,
    exp.Case,
    exp.CTE,
    exp.Filter,
    exp.Group,
    exp.Having,
    exp.If,
    exp.Join,
    exp.Lateral,
    exp.Or,
    exp.Order,
    exp.Select,
    exp.Subquery,
    exp.Union,
    exp.Where,
    exp.Window,
)


def _clause(node: exp.Expr, change: _Change) -> tuple[str, str]:
    """Return the smallest clause that holds the node, before and after the change."""
    if change.before is not None:
        return change.before, change.after or ""
    clause = node
    while clause.parent is not None and not isinstance(clause.parent, _CLAUSE_ENDS):
        clause = clause.parent
    if clause is node:
        return _text(node), _text(change.replacement)
    place = next(i for i, inner in enumerate(clause.walk()) if inner is node)
    copy = clause.copy()
    list(copy.walk())[place].replace(change.replacement.copy())
    return _text(clause), _text(copy)


def _scope(node: exp.Expr) -> str:
    """Name the CTEs around a node, the outermost first."""
    names: list[str] = []
    parent = node.parent
    while parent is not None:
        if isinstance(parent, exp.CTE):
            names.append(parent.alias)
        parent = parent.parent
    return ".".join(reversed(names)) or "query"


def _text(node: exp.Expr) -> str:
    """Write a clause without what differs between databases and runs: schemas and instants."""
    copy = node.copy()
    for literal in copy.find_all(exp.Literal):
        if literal.is_string and _INSTANT.match(literal.name):
            literal.set("this", "a day")
        elif literal.arg_key == "zone":
            literal.set("this", "a zone")
    for table in copy.find_all(exp.Table):
        table.set("db", None)
    for identifier in copy.find_all(exp.Identifier):
        identifier.set("quoted", False)
    return copy.sql(dialect=DIALECT).replace(_FIXTURE, "")


# -- fixtures of unit tests ---------------------------------------------------------------------


def fixtures_of(text: str) -> exp.With | None:
    """Return the CTEs with which dbt puts a unit test's rows in the place of the inputs."""
    tree = sqlglot.parse_one(text, dialect=DIALECT)
    clause = tree.args.get("with_")
    if clause is None:
        return None
    fixtures = [cte for cte in clause.expressions if cte.alias.startswith(_FIXTURE)]
    return exp.With(expressions=[cte.copy() for cte in fixtures]) if fixtures else None


def without_fixtures(tree: exp.Expr) -> exp.Expr:
    """Take a unit test's fixtures out of a query."""
    clause = tree.args.get("with_")
    if clause is not None:
        kept = [cte for cte in clause.expressions if not cte.alias.startswith(_FIXTURE)]
        if kept:
            clause.set("expressions", kept)
        else:
            tree.set("with_", None)
    return tree


def with_fixtures(tree: exp.Expr, fixtures: exp.With) -> exp.Expr:
    """Put fixtures before the CTEs of a query."""
    clause = tree.args.get("with_")
    copies = [cte.copy() for cte in fixtures.expressions]
    if clause is None:
        tree.set("with_", exp.With(expressions=copies))
    else:
        clause.set("expressions", [*copies, *clause.expressions])
    return tree


# -- what can be changed ------------------------------------------------------------------------


def _changes(node: exp.Expr) -> Iterator[_Change]:
    for offer in _OFFERS:
        yield from offer(node)


_FLIPS: Final[dict[type[exp.Expr], type[exp.Expr]]] = {
    exp.LT: exp.LTE,
    exp.LTE: exp.LT,
    exp.GT: exp.GTE,
    exp.GTE: exp.GT,
    exp.EQ: exp.NEQ,
    exp.NEQ: exp.EQ,
    exp.NullSafeEQ: exp.NullSafeNEQ,
    exp.NullSafeNEQ: exp.NullSafeEQ,
}
_INEQUALITIES: Final = (exp.LT, exp.LTE, exp.GT, exp.GTE)


def _comparisons(node: exp.Expr) -> Iterator[_Change]:
    """Flip a comparison; of days, move its right side. Moved so, < is <= on one side."""
    flipped = _FLIPS.get(type(node))
    if flipped is not None:
        left, right = node.this, node.expression
        is_of_days = _is_day(left) or _is_day(right)
        if not (is_of_days and isinstance(node, _INEQUALITIES)):
            yield _Change("comparison", flipped(this=left.copy(), expression=right.copy()))
        if is_of_days:
            for moved in _moved(right):
                yield _Change("day", type(node)(this=left.copy(), expression=moved))
    elif isinstance(node, exp.Between):
        yield from _between(node)
    elif isinstance(node, exp.In | exp.Exists) and not isinstance(node.parent, exp.Not):
        yield _Change("comparison", exp.Not(this=node.copy()))


def _between(node: exp.Between) -> Iterator[_Change]:
    value, low, high = node.this, node.args["low"], node.args["high"]
    if _is_day(value) or _is_day(low) or _is_day(high):
        for moved in _moved(low):
            yield _Change("day", exp.Between(this=value.copy(), low=moved, high=high.copy()))
        for moved in _moved(high):
            yield _Change("day", exp.Between(this=value.copy(), low=low.copy(), high=moved))
        return
    for from_low, to_high in ((exp.GT, exp.LTE), (exp.GTE, exp.LT)):
        both = exp.And(
            this=from_low(this=value.copy(), expression=low.copy()),
            expression=to_high(this=value.copy(), expression=high.copy()),
        )
        yield _Change("comparison", exp.Paren(this=both))


def _is_day(node: exp.Expr) -> bool:
    """Say whether an expression is a day or a number of days, by the names of its columns."""
    if isinstance(node, exp.Query):
        return any(_DAY.search(column.alias_or_name) for column in node.selects)
    if isinstance(node, exp.Column):
        return bool(_DAY.search(node.name))
    if isinstance(node, exp.Cast):
        return node.is_type(exp.DataType.Type.DATE)
    if isinstance(node, exp.Case | exp.Count | exp.Anonymous | exp.Literal):
        return False
    return any(_is_day(inner) for inner in node.iter_expressions())


def _moved(side: exp.Expr) -> Iterator[exp.Expr]:
    if isinstance(side, exp.Literal) and side.is_string:
        return  # an endless day
    one = exp.Literal.number(1)
    for operation in (exp.Add, exp.Sub):
        yield operation(this=_guarded(side), expression=one.copy())


def _guarded(node: exp.Expr) -> exp.Expr:
    copy = node.copy()
    return exp.Paren(this=copy) if isinstance(copy, exp.Binary | exp.Case | exp.Not) else copy


def _null_tests(node: exp.Expr) -> Iterator[_Change]:
    if not (isinstance(node, exp.Is) and isinstance(node.expression, exp.Null)):
        return
    if not isinstance(node.parent, exp.Not):
        yield _Change("null", exp.Not(this=node.copy()))


def _negations(node: exp.Expr) -> Iterator[_Change]:
    if isinstance(node, exp.Not):
        is_null_test = isinstance(node.this, exp.Is) and isinstance(node.this.expression, exp.Null)
        yield _Change("null" if is_null_test else "negation", node.this.copy())


def _cases(node: exp.Expr) -> Iterator[_Change]:
    """Drop each branch: `when false` has the type of what stood there."""
    if not isinstance(node, exp.Case):
        return
    never = exp.false() if node.this is None else exp.null()
    for number, branch in enumerate(node.args["ifs"]):
        copy = node.copy()
        copy.args["ifs"][number].set("this", never.copy())
        text = f"when {_text(branch.this)} then {_text(branch.args['true'])}"
        yield _Change("case", copy, before=text)
    default = node.args.get("default")
    if default is not None and not isinstance(default, exp.Null):
        copy = node.copy()
        copy.set("default", None)
        copy.append("ifs", exp.If(this=never.copy(), true=default.copy()))
        last = node.args["ifs"][-1]
        text = f"else {_text(default)} (after when {_text(last.this)})"
        yield _Change("case", copy, before=text)


def _arms(node: exp.Expr) -> Iterator[_Change]:
    """Drop each arm of a union: it stays without rows, so that columns keep their types."""
    if not isinstance(node.parent, exp.SetOperation) or isinstance(node, exp.SetOperation):
        return
    if node.arg_key not in ("this", "expression"):
        return
    whole: exp.Expr = node.parent
    while isinstance(whole.parent, exp.SetOperation) and whole.arg_key in ("this", "expression"):
        whole = whole.parent
    arms = list(_leaves(whole))
    number = next(i for i, arm in enumerate(arms, start=1) if arm is node)
    tables = ", ".join(dict.fromkeys(_from_tables(node.unnest())))
    empty = node.copy()
    select = empty.unnest()
    select.set("where", exp.Where(this=exp.false()))
    if select.args.get("group") is None and _aggregates(select):
        select.set("having", exp.Having(this=exp.false()))
    yield _Change("union", empty, before=f"arm {number} of {len(arms)}, from {tables}")


def _aggregates(select: exp.Expr) -> bool:
    return any(
        not isinstance(aggregate.parent, exp.Window)
        and aggregate.find_ancestor(exp.Select) is select
        for column in select.expressions
        for aggregate in column.find_all(exp.AggFunc)
    )


def _leaves(node: exp.Expr) -> Iterator[exp.Expr]:
    if isinstance(node, exp.SetOperation):
        yield from _leaves(node.this)
        yield from _leaves(node.expression)
    else:
        yield node


def _from_tables(arm: exp.Expr) -> Iterator[str]:
    sources = [arm.args.get("from_"), *arm.args.get("joins", ())]
    for source in sources:
        if source is not None and isinstance(source.this, exp.Table):
            yield source.this.name.replace(_FIXTURE, "")


def _coalesced(node: exp.Expr) -> Iterator[_Change]:
    if isinstance(node, exp.Coalesce):
        yield from _without_arguments(node, "coalesce")


_OPPOSITES: Final[dict[type[exp.Expr], type[exp.Expr]]] = {
    exp.Min: exp.Max,
    exp.Max: exp.Min,
    exp.LogicalOr: exp.LogicalAnd,
    exp.LogicalAnd: exp.LogicalOr,
}


def _extremes(node: exp.Expr) -> Iterator[_Change]:
    if isinstance(node, exp.Greatest | exp.Least):
        other = exp.Least if isinstance(node, exp.Greatest) else exp.Greatest
        arguments = [argument.copy() for argument in node.expressions]
        yield _Change("extreme", other(this=node.this.copy(), expressions=arguments))
        yield from _without_arguments(node, "extreme")
    opposite = _OPPOSITES.get(type(node))
    if opposite is not None:
        yield _Change("extreme", opposite(this=node.this.copy()))


def _without_arguments(node: exp.Func, kind: str) -> Iterator[_Change]:
    arguments = [node.this, *node.expressions]
    for number in range(len(arguments)):
        kept = [argument for i, argument in enumerate(arguments) if i != number]
        if len(kept) == 1:
            yield _Change(kind, _guarded(kept[0]))
        else:
            first, *others = (argument.copy() for argument in kept)
            yield _Change(kind, type(node)(this=first, expressions=others))


def _arithmetic(node: exp.Expr) -> Iterator[_Change]:
    pairs: dict[type[exp.Expr], Callable[..., exp.Expr]] = {
        exp.Add: exp.Sub,
        exp.Sub: exp.Add,
        exp.Mul: lambda **sides: exp.Div(**sides, typed=True, safe=False),
        exp.Div: exp.Mul,
    }
    other = pairs.get(type(node))
    if other is not None:
        if isinstance(node.expression, exp.Column) and node.expression.name.endswith("_date"):
            return  # days between two dates, which cannot be added
        replacement = other(this=node.this.copy(), expression=node.expression.copy())
        yield _Change("arithmetic", replacement)
    elif isinstance(node, exp.Neg) and not isinstance(node.this, exp.Literal):
        yield _Change("arithmetic", node.this.copy())


def _conditions(node: exp.Expr) -> Iterator[_Change]:
    """Drop each part of a condition, and a condition that has one part only."""
    if isinstance(node, exp.And | exp.Or):
        for dropped, kept in ((node.this, node.expression), (node.expression, node.this)):
            if not isinstance(dropped, type(node)):
                word = "and" if isinstance(node, exp.And) else "or"
                yield _Change("condition", kept.copy(), before=f"{word} {_text(dropped)}")
    parent = node.parent
    is_whole = isinstance(parent, exp.Where | exp.Having) or (
        isinstance(parent, exp.Join) and node.arg_key == "on"
    )
    if is_whole and not isinstance(node, exp.And | exp.Boolean):
        word = "on" if isinstance(parent, exp.Join) else "where"
        yield _Change("condition", exp.true(), before=f"{word} {_text(node)}")


def _constants(node: exp.Expr) -> Iterator[_Change]:
    if isinstance(node, exp.Boolean):
        yield _Change("constant", exp.false() if node.this else exp.true())
    if not isinstance(node, exp.Literal) or node.is_string:
        return
    if node.find_ancestor(exp.DataType, exp.Limit, exp.Group) or _is_only_row(node):
        return
    text = node.name
    if re.fullmatch(r"\d+", text):
        for value in (int(text) + 1, int(text) - 1):
            number = exp.Literal.number(abs(value))
            is_negative = value < 0
            yield _Change(
                "constant", exp.Paren(this=exp.Neg(this=number)) if is_negative else number
            )
    else:
        for factor in (1.1, 0.9):
            yield _Change("constant", exp.Literal.number(f"{float(text) * factor:.12g}"))


def _is_only_row(node: exp.Literal) -> bool:
    """Say whether a number only makes a row be there, as in `select 1`."""
    select = node.parent
    return isinstance(select, exp.Select) and len(select.selects) == 1


def _joins(node: exp.Expr) -> Iterator[_Change]:
    if isinstance(node, exp.Join) and node.args.get("side") == "LEFT":
        copy = node.copy()
        copy.set("side", None)
        copy.set("kind", "INNER")
        if not isinstance(node.this, exp.Lateral):
            joined = f"left join {node.this.alias_or_name}"
            yield _Change("join", copy, before=joined, after="inner join")


def _orders(node: exp.Expr) -> Iterator[_Change]:
    """Turn an order round, but not that of a sum: it only makes the sum repeatable."""
    if isinstance(node, exp.Ordered):
        if isinstance(node.find_ancestor(exp.Sum, exp.Select, exp.Window), exp.Sum):
            return
        copy = node.copy()
        copy.set("desc", not node.args.get("desc"))
        copy.set("nulls_first", not node.args.get("nulls_first"))
        yield _Change("order", copy)


def _partitions(node: exp.Expr) -> Iterator[_Change]:
    if not isinstance(node, exp.Window):
        return
    columns = node.args.get("partition_by") or []
    for number in range(len(columns)):
        copy = node.copy()
        kept = [other.copy() for i, other in enumerate(columns) if i != number]
        copy.set("partition_by", kept)
        yield _Change("partition", copy)


def _distinct(node: exp.Expr) -> Iterator[_Change]:
    if isinstance(node, exp.Select):
        distinct = node.args.get("distinct")
        if distinct is not None and not distinct.args.get("on"):
            copy = node.copy()
            copy.set("distinct", None)
            columns = ", ".join(_text(column) for column in node.selects)
            yield _Change("distinct", copy, before=f"distinct {columns}")


_OFFERS: Final = (
    _comparisons,
    _null_tests,
    _negations,
    _cases,
    _arms,
    _coalesced,
    _extremes,
    _arithmetic,
    _conditions,
    _constants,
    _joins,
    _orders,
    _partitions,
    _distinct,
)
