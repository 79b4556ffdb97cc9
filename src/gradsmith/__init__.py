"""gradsmith: one formula in; a production-grade PyTorch activation out, with proof.

Every public name is imported when it is first used, torch with the first that needs it, so that
``import gradsmith`` costs next to nothing. Every activation of the catalogue is a name of this
module as well: ``gradsmith.silu``, ``gradsmith.gelu``.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from gradsmith.catalogue import CATALOGUE as _CATALOGUE
from gradsmith.version import VERSION

if TYPE_CHECKING:
    from gradsmith import errors as errors
    from gradsmith import nn as nn
    from gradsmith.activation import Activation as Activation
    from gradsmith.activation import activation as activation
    from gradsmith.bench.bench import bench as bench
    from gradsmith.bench.benchmark import Benchmark as Benchmark
    from gradsmith.calculus.derivation import Derivation as Derivation
    from gradsmith.catalogue.functional import NamedActivation
    from gradsmith.doors.act_layer import act_layer as act_layer
    from gradsmith.doors.replace import replace as replace
    from gradsmith.doors.replacement import Replacement as Replacement
    from gradsmith.formula.formula import Formula as Formula
    from gradsmith.show.emit import emit as emit
    from gradsmith.show.plot import plot as plot
    from gradsmith.show.report import report as report
    from gradsmith.show.study import study as study
    from gradsmith.show.verbs import derive as derive
    from gradsmith.show.verbs import properties as properties
    from gradsmith.truth.certificate import Certificate as Certificate
    from gradsmith.truth.certify import certify as certify
    from gradsmith.truth.compare import compare as compare

    def __getattr__(name: str) -> NamedActivation: ...  # every other name is the catalogue's


__version__: Final = VERSION

# Name: module and attribute, or a module itself. Type checkers read the imports above instead.
_PUBLIC: Final[dict[str, str]] = {
    "Activation": "gradsmith.activation:Activation",
    "Benchmark": "gradsmith.bench.benchmark:Benchmark",
    "Certificate": "gradsmith.truth.certificate:Certificate",
    "Derivation": "gradsmith.calculus.derivation:Derivation",
    "Formula": "gradsmith.formula.formula:Formula",
    "Replacement": "gradsmith.doors.replacement:Replacement",
    "act_layer": "gradsmith.doors.act_layer:act_layer",
    "activation": "gradsmith.activation:activation",
    "bench": "gradsmith.bench.bench:bench",
    "certify": "gradsmith.truth.certify:certify",
    "compare": "gradsmith.truth.compare:compare",
    "derive": "gradsmith.show.verbs:derive",
    "emit": "gradsmith.show.emit:emit",
    "errors": "gradsmith.errors",
    "nn": "gradsmith.nn",
    "plot": "gradsmith.show.plot:plot",
    "properties": "gradsmith.show.verbs:properties",
    "replace": "gradsmith.doors.replace:replace",
    "report": "gradsmith.show.report:report",
    "study": "gradsmith.show.study:study",
}


def _load(name: str) -> Any:
    if name in _PUBLIC:
        module, _, attribute = _PUBLIC[name].partition(":")
        loaded = import_module(module)
        return getattr(loaded, attribute) if attribute else loaded
    if name in _CATALOGUE:
        from gradsmith.catalogue import named

        return named(name)
    from difflib import get_close_matches

    near = get_close_matches(name, [*_PUBLIC, *_CATALOGUE], n=1, cutoff=0.6)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")


class _Package(ModuleType):
    """This module, with public names that importing a submodule cannot take away.

    Python binds a submodule to its name in the package when it is imported; without this,
    ``gradsmith.activation`` would be the function or the submodule, depending on what ran before.
    """

    def __getattr__(self, name: str) -> Any:
        value = _load(name)
        self.__dict__[name] = value
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        if not (isinstance(value, ModuleType) and ":" in _PUBLIC.get(name, "")):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        special = {name for name in super().__dir__() if name.startswith("__")}
        return sorted(special | {*_PUBLIC, *_CATALOGUE})


sys.modules[__name__].__class__ = _Package
