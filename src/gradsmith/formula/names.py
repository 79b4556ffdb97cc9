"""Names of inputs and parameters, as a formula's text spells them and as they are given.

Python reads an identifier in its normal form (NFKC): ``µ``, the sign on a keyboard, and ``μ``, the
Greek letter, are one name to it. So are ``xⁿ`` and ``xn``, and ``x·x`` is a name like any other;
these mean something else to whoever writes them, and are refused.
"""

from __future__ import annotations

import keyword
from collections.abc import Mapping, Sequence
from typing import TypeVar
from unicodedata import decomposition, normalize

from gradsmith.errors import FormulaError
from gradsmith.formula.vocabulary import USABLE

T = TypeVar("T")

_PRODUCTS = "·\u0387⋅×∙"  # U+0387 is the Greek dot, which is the first one in its normal form
_RAISED, _LOWERED = "<super>", "<sub>"


def misread(text: str) -> tuple[int, str] | None:
    """Where Python would read something else than what is written, and what to write instead.

    A comment is not looked at.
    """
    if text.isascii():
        return None
    for column, character in enumerate(text.partition("#")[0]):
        instead = None if character.isascii() else _instead(character)
        if instead is not None:
            return column, f"write {instead}, not {character}"
    return None


def _instead(character: str) -> str | None:
    if character in _PRODUCTS:
        return "*"
    read = normalize("NFKC", character)
    kind = decomposition(character).partition(" ")[0]
    if read == character or not kind.startswith("<") or not f"a{character}".isidentifier():
        return None  # the same, or the same in other code points, or no part of a name
    if kind == _RAISED:
        return f"**{read} for a power and _{read} in a name"
    if kind == _LOWERED:
        return f"_{read}"
    return None if len(read) == 1 and character.isalpha() and read.isalpha() else read


def canonical(name: str) -> str:
    """The name as Python reads it."""
    return name if name.isascii() else normalize("NFKC", name)


def given_names(values: Mapping[str, T]) -> dict[str, T]:
    """What is given by name, with the names as Python reads them.

    Raises:
        FormulaError: one cannot be a name in a formula, or two names are one.
    """
    spelled: dict[str, str] = {}
    for name in values:
        check_name(name)
        first = spelled.setdefault(canonical(name), name)
        if first != name:
            raise FormulaError(f"{first!r} and {name!r} are one name, {canonical(name)!r}")
    return {read: values[name] for read, name in spelled.items()}


def given_inputs(inputs: Sequence[str] | str | None) -> tuple[str, ...] | None:
    """The names of the inputs as Python reads them; one text is one name.

    Raises:
        FormulaError: one cannot be a name in a formula.
        TypeError: it is no sequence of names.
    """
    if inputs is None:
        return None
    names = (inputs,) if isinstance(inputs, str) else inputs
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise TypeError(
            "inputs= takes the name of the input tensor or a sequence of names such as "
            f"('a', 'b'), got {inputs!r}; a parameter cannot be called 'inputs'"
        )
    for name in names:
        check_name(name)
    return tuple(map(canonical, names))


def check_name(name: str) -> None:
    """Refuse a name that no input or parameter can have in a formula.

    Raises:
        FormulaError: it is no identifier, a keyword of Python or a function of the vocabulary, or
            Python reads it as another name than the one that it looks like.
    """
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
        raise FormulaError(f"{name!r} cannot be the name of an input or a parameter")
    wrong = misread(name)
    if wrong is not None:
        raise FormulaError(f"{name!r} cannot be the name of an input or a parameter: {wrong[1]}")
    if canonical(name) in USABLE:
        raise FormulaError(f"{name!r} is a function of the vocabulary; choose another name")
