"""What is to be swapped in a model by which rule, decided before anything is touched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from gradsmith.doors.counterparts import classes, function_of, functions
from gradsmith.doors.making import (
    Maker,
    bound,
    described,
    function,
    maker,
    placed,
    refusal,
)
from gradsmith.doors.replacement import Left, Swap

# Which rule a module follows of several that fit: the smallest.
_MODULE, _NAME, _PATTERN, _CLASS, _FUNCTION = range(5)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, of which it is known what it speaks of."""

    key: Any
    value: Any
    rank: int

    def fits(self, name: str, module: nn.Module) -> bool:
        """Whether it speaks of a module of that name."""
        if self.rank == _MODULE:
            return module is self.key
        if self.rank == _NAME:
            return bool(name == self.key)
        if self.rank == _PATTERN:
            return fnmatchcase(name, self.key)
        kind: object = self.key
        return self.rank == _CLASS and type(module) is kind

    @property
    def entry(self) -> str | None:
        """The catalogue's entry whose functions it speaks of as well."""
        if self.rank == _FUNCTION:
            return functions()[self.key][0].name
        found = classes().get(self.key) if self.rank == _CLASS else None
        return found.name if found else None

    def __str__(self) -> str:
        if self.rank == _FUNCTION:
            return functions()[self.key][1]
        return self.key.__qualname__ if self.rank == _CLASS else str(self.key)


def rule(key: Any, value: Any) -> Rule:
    """The rule of a key and a value.

    Raises:
        TypeError: the key is of no kind that is known.
    """
    if isinstance(key, str):
        return Rule(key, value, _PATTERN if set(key) & set("*?[") else _NAME)
    if isinstance(key, nn.Module):
        return Rule(key, value, _MODULE)
    if isinstance(key, type) and issubclass(key, nn.Module):
        return Rule(key, value, _CLASS)
    if function_of(key) is key:
        return Rule(key, value, _FUNCTION)
    raise TypeError(
        "what to replace is a class of modules, the name of a module or a pattern, a module, or "
        f"a function of PyTorch's that the catalogue has; got {key!r}"
    )


@dataclass(frozen=True, slots=True)
class Step:
    """What stands somewhere and what takes its place."""

    names: tuple[str, ...]
    old: Any
    new: Any

    @property
    def swap(self) -> Swap:
        """For the report."""
        note = ""
        if isinstance(self.old, nn.Module):
            kept = {id(parameter) for parameter in self.new.parameters()}
            lost = [n for n, p in self.old.named_parameters() if id(p) not in kept]
            if lost:
                note = f"its {', '.join(lost)} is gone from the model's parameters"
        return Swap(self.names, described(self.old), described(self.new), note)


@dataclass(slots=True)
class Plan:
    """What will be done to a model."""

    model: nn.Module
    rules: Sequence[Rule]
    steps: list[Step] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)

    @property
    def wanted(self) -> frozenset[str]:
        """The entries of whose functions the rules speak."""
        return frozenset(rule.entry for rule in self.rules if rule.entry is not None)


def planned(model: nn.Module, rules: Sequence[Rule]) -> Plan:
    """Find what each rule speaks of, and make what takes its place.

    Raises:
        ValueError: a name or a module is not in the model, or the model itself is to be swapped.
    """
    plan = Plan(model, rules)
    makers = {id(r): maker(r.value) for r in rules if r.rank != _FUNCTION}
    places: dict[nn.Module, list[str]] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        places.setdefault(module, []).append(name)
    used: set[int] = set()
    gone: set[nn.Module] = set()
    for module, names in places.items():
        if module in gone:
            continue
        chosen = _chosen(rules, module, names)
        if chosen is None:
            _note_subclass(plan, module, names)
            continue
        used.add(id(chosen))
        step = _step(plan, chosen, makers[id(chosen)], module, names)
        if step is not None:
            plan.steps.append(step)
            gone.update(module.modules())  # what is inside of it goes with it
    for place, held in _attributes(model, gone):
        used |= _plan_attribute(plan, place, held)
    for one in rules:
        if id(one) not in used:
            _check_unused(plan, one, places)
    return plan


def _chosen(rules: Sequence[Rule], module: nn.Module, names: Sequence[str]) -> Rule | None:
    fitting = [rule for rule in rules if any(rule.fits(name, module) for name in names)]
    return min(fitting, key=lambda rule: rule.rank, default=None)


def _step(
    plan: Plan, chosen: Rule, make: Maker, module: nn.Module, names: Sequence[str]
) -> Step | None:
    if module is plan.model:
        raise ValueError(
            f"the model itself fits {str(chosen)!r}, and nothing holds it that could hold another; "
            "make the new module yourself"
        )
    if reason := refusal(module):
        plan.left.append(Left(tuple(names), described(module), reason))
        return None
    parent = plan.model.get_submodule(names[0].rpartition(".")[0])
    made = placed(make(module), module, parent, plan.model).train(module.training)
    return Step(tuple(names), module, made)


def _note_subclass(plan: Plan, module: nn.Module, names: Sequence[str]) -> None:
    for one in plan.rules:
        if one.rank == _CLASS and isinstance(module, one.key):
            reason = f"a subclass of {one}, which may compute something else; a rule may name it"
            plan.left.append(Left(tuple(names), described(module), reason))
            return


def _attributes(model: nn.Module, gone: set[nn.Module]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Where a module holds a function of PyTorch's that the catalogue has."""
    for name, module in model.named_modules():
        if module in gone:
            continue
        for attribute, held in vars(module).items():
            if function_of(held) is not None:
                yield (f"{name}.{attribute}" if name else attribute,), held


def _plan_attribute(plan: Plan, place: tuple[str, ...], held: Any) -> set[int]:
    """Swap it or report it; the rules that speak of it."""
    torchs = function_of(held)
    for one in plan.rules:
        if one.rank == _FUNCTION and one.key is torchs:
            new = bound(function(one.value), held)
            if new is None:
                reason = "the arguments bound to it mean nothing to what would take its place"
                plan.left.append(Left(place, described(held), reason))
            else:
                plan.steps.append(Step(place, held, new))
            return {id(one)}
    entry, name = functions()[torchs]
    if entry.name in plan.wanted:
        reason = f"a function that is held as an attribute; the key {name} swaps it"
        plan.left.append(Left(place, described(held), reason))
    return set()


def _check_unused(plan: Plan, one: Rule, places: Mapping[nn.Module, Sequence[str]]) -> None:
    if one.rank in (_CLASS, _FUNCTION):
        plan.unused.append(str(one))
        return
    names = [name for found in places.values() for name in found if name]
    if one.rank == _MODULE:
        raise ValueError(f"this module is not in the model: {described(one.key)}")
    near = get_close_matches(one.key, names, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}?" if near else "model.named_modules() lists what there is"
    raise ValueError(f"no module of the model is called {one.key!r}; {hint}")
