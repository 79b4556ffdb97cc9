"""Plans: which expression is stable and in what precision it is computed, found once and kept.

Finding them takes a tenth of a second for each operation; reading them back, a millisecond. They
are kept in the cache on disk beside the kernels, under keys that change with everything on which
they depend. What cannot be read back is found anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from gradsmith.backends.cache import Kind, load, save
from gradsmith.calculus.derivative import differentiate
from gradsmith.formula.expression import Expr, Symbol, free_symbols
from gradsmith.formula.nodes import of_nodes, to_nodes
from gradsmith.numerics import joint
from gradsmith.numerics.ladder import SCHEMES, Way, choose, rank
from gradsmith.numerics.lower import Scheme
from gradsmith.numerics.stabilise import Stable, stabilise
from gradsmith.numerics.target import Target

if TYPE_CHECKING:
    from gradsmith.operator.numerical import Numerical

_Made = TypeVar("_Made")


def stable_form(operation: Numerical, target: Target) -> Stable:
    """What is computed in place of the core of an operation, for results of one format."""
    core, arguments, defaults = operation.core, operation.arguments, operation.defaults

    def read(record: Mapping[str, Any]) -> Stable:
        expression, symbolic = of_nodes(record["forms"])
        at = {name: float(record["at"][name]) for name in arguments}
        error = float(record["error"])
        return Stable(core, expression, symbolic, error, at, target, arguments, defaults)

    def written(found: Stable) -> dict[str, Any]:
        forms = to_nodes(found.expression, found.symbolic)
        return {"forms": forms, "error": found.error, "at": dict(found.at)}

    def find() -> Stable:
        alternatives = _alternatives(operation, target)
        derived = operation.origin is not None
        return stabilise(core, arguments, defaults, alternatives, target, multiplied=derived)

    forms = to_nodes(core, *_origins(operation))
    key = ("stable form", forms, list(arguments), dict(defaults), repr(target))
    return _kept(key, read, written, find)


def _alternatives(operation: Numerical, target: Target) -> tuple[Expr, ...]:
    """The derivative of the stable form of what the operation is the derivative of."""
    if operation.origin is None:
        return ()
    parent, symbol = operation.origin
    forms = (parent.core, parent.stable_for(target).symbolic)
    read = {Symbol(name) for name in operation.arguments}
    # A form that still reads what cancels in the core is none of ours.
    found = (differentiate(form, symbol) for form in forms)
    return tuple(form for form in found if read.issuperset(free_symbols(form)))


def _origins(operation: Numerical) -> Iterator[Expr]:
    """What it is the derivative of, in which symbol, and so on up to what is no derivative.

    All that the alternatives depend on.
    """
    while operation.origin is not None:
        operation, symbol = operation.origin
        yield operation.core
        yield symbol


def way(stable: Stable, alone: bool, max_ulp: float, in_words: bool) -> Way:
    """What :func:`~gradsmith.numerics.ladder.choose` finds."""

    def read(record: Mapping[str, Any]) -> Way:
        (expression,) = of_nodes(record["form"])
        scheme = SCHEMES[record["scheme"]]
        at = replace(stable, expression=expression)
        return Way(scheme, at, float(record["error"]), bool(record["particular"]))

    def written(found: Way) -> dict[str, Any]:
        form = to_nodes(found.stable.expression)
        record = {"form": form, "scheme": rank(found.scheme), "error": found.error}
        return {**record, "particular": found.particular}

    forms = to_nodes(stable.root, stable.expression)
    given = [list(stable.arguments), dict(stable.defaults), repr(stable.target)]
    key = ("way", forms, *given, alone, max_ulp, in_words)
    return _kept(key, read, written, lambda: choose(stable, alone, max_ulp, in_words))


def shared_forms(stables: Sequence[Stable], cores: Sequence[Expr], scheme: Scheme) -> list[Expr]:
    """What :func:`~gradsmith.numerics.joint.shared_forms` finds."""

    def read(record: Mapping[str, Any]) -> list[Expr]:
        return list(of_nodes(record["forms"]))

    def written(found: Sequence[Expr]) -> dict[str, Any]:
        return {"forms": to_nodes(*found)}

    roots = to_nodes(*(stable.root for stable in stables), *cores)
    given = [[list(s.arguments), dict(s.defaults), repr(s.target)] for s in stables]
    key = ("shared forms", roots, given, rank(scheme))
    return _kept(key, read, written, lambda: joint.shared_forms(stables, cores, scheme))


def _kept(
    key: Sequence[Any],
    read: Callable[[Mapping[str, Any]], _Made],
    written: Callable[[_Made], Mapping[str, Any]],
    find: Callable[[], _Made],
) -> _Made:
    parts = tuple(_texts(key))
    content = load(Kind.PLAN, parts)
    if content is not None:
        try:
            return read(json.loads(content))
        except (ValueError, TypeError, KeyError, IndexError):
            pass  # of another text of gradsmith, or nobody's: it is written anew
    found = find()
    save(Kind.PLAN, parts, json.dumps(written(found)).encode())
    return found


def _texts(key: Sequence[Any]) -> Iterator[str]:
    return (json.dumps(part) for part in key)
