"""How each function and each name looks on paper; LaTeX and MathML print what this lays out."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction as Rational
from unicodedata import category

from gradsmith.formula.boxes import (
    EMPTY,
    Applied,
    Binding,
    Box,
    Digits,
    Fence,
    Fraction,
    Letter,
    Name,
    Piece,
    Prefix,
    Prose,
    Root,
    Script,
    Sign,
    Word,
    add,
    apply,
    binary,
    bracket,
    choose,
    divide,
    divide_inline,
    has_plain_name,
    multiply,
    negate,
    raise_name,
    raise_to,
    row,
    subtract,
)
from gradsmith.formula.expression import Call, Expr, Function, Number, Symbol, rebuild, walk
from gradsmith.formula.text import number_text
from gradsmith.formula.vocabulary import (
    ADD,
    AND,
    DIV,
    EQ,
    GE,
    GT,
    LE,
    LT,
    MUL,
    NE,
    NEG,
    NOT,
    OR,
    POW,
    SUB,
    abs_,
    asinh,
    atan,
    e,
    exp,
    exp2,
    expand_definition,
    expm1,
    heaviside,
    log1p,
    log2,
    log10,
    ndtr,
    pi,
    reciprocal,
    relu,
    rsqrt,
    sech2,
    sigmoid,
    sign,
    sqrt,
    square,
    where,
)

Layout = Callable[..., Piece]

GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "zeta": "ζ",
    "eta": "η", "theta": "θ", "iota": "ι", "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν",
    "xi": "ξ", "rho": "ρ", "sigma": "σ", "tau": "τ", "upsilon": "υ", "phi": "φ", "chi": "χ",
    "psi": "ψ", "omega": "ω", "Gamma": "Γ", "Delta": "Δ", "Theta": "Θ", "Lambda": "Λ",
    "Xi": "Ξ", "Pi": "Π", "Sigma": "Σ", "Upsilon": "Υ", "Phi": "Φ", "Psi": "Ψ", "Omega": "Ω",
}  # fmt: skip
"""Names that stand for a Greek letter."""

_PYTHON_KEYWORD = {"lambd": "λ", "lambda_": "λ"}  # `lambda` cannot be the name of an argument

# A wider or deeper exponent than this is set as exp(...) instead of e to the power of it.
_WIDEST_EXPONENT = 18
_DEEPEST_EXPONENT = 1

_SPELLED_OUT = frozenset({expm1, log1p, square, reciprocal, rsqrt})
"""Functions that mathematics has no name for: shown as their definition."""

_SHOWN_NAMES = {
    sigmoid: "σ",
    ndtr: "Φ",
    relu: "ReLU",
    sign: "sgn",
    heaviside: "H",
    atan: "arctan",
    asinh: "arsinh",
}

_RELATIONS = {LT: "<", LE: "≤", GT: ">", GE: "≥", EQ: "=", NE: "≠"}

_LAYOUTS: dict[Function, Layout] = {}


def register_layout(function: Function, layout: Layout) -> None:
    """Set how calls of ``function`` look.

    Args:
        function: a record of the vocabulary or one made elsewhere.
        layout: takes a :class:`~gradsmith.formula.boxes.Piece` per argument and returns one. It
            brackets what it places next to other things; ``apply`` and the other functions of
            :mod:`gradsmith.formula.boxes` do so by themselves.
    """
    _LAYOUTS[function] = layout


def lay_out(root: Expr) -> Box:
    """The boxes of an expression."""
    spelled = rebuild(root, _spell_out)
    # In an exponent a fraction is a/b on one line; which of the two a node needs is known only
    # further up, so that both are made.
    done: dict[Expr, tuple[Piece, Piece]] = {}
    for node in walk(spelled):
        parts = [done[arg] for arg in node.args]
        display = tuple(piece for piece, _ in parts)
        small = tuple(piece for _, piece in parts)
        done[node] = _piece(node, display, small, False), _piece(node, small, small, True)
    return done[spelled][0].whole


def _spell_out(node: Expr, args: tuple[Expr, ...]) -> Expr:
    if not isinstance(node, Call):
        return node
    if node.function is exp2:
        return POW(2, *args)
    same = Call(node.function, args)
    if node.function in _SPELLED_OUT and node.function not in _LAYOUTS:
        return expand_definition(same)
    return same


def _piece(node: Expr, args: tuple[Piece, ...], small: tuple[Piece, ...], inline: bool) -> Piece:
    """``small`` are the arguments as an exponent has them; ``inline``: this is in an exponent."""
    if isinstance(node, Number):
        return _number(node.value, inline)
    if isinstance(node, Symbol):
        return Piece(symbol_box(node.name))
    assert isinstance(node, Call)
    function = node.function
    if function in _LAYOUTS:
        return _LAYOUTS[function](*args)
    if function is DIV:
        return divide_inline(*args) if inline else divide(*args)
    if function is exp:
        return _exponential(args[0], small[0])
    if function is POW:
        return _power(node.args[1], args[0], small[1])
    if function.arity == 0:
        return Piece(symbol_box(function.name))
    return apply(_function_name(function), args)


def _function_name(function: Function) -> Box:
    if function not in _SHOWN_NAMES and isinstance(letter := symbol_box(function.name), Letter):
        return letter  # f and f′ are set like variables
    return Name(text=_SHOWN_NAMES.get(function, function.name))


def _exponential(argument: Piece, small: Piece) -> Piece:
    exponent = small.whole
    fits = exponent.width <= _WIDEST_EXPONENT and exponent.level <= _DEEPEST_EXPONENT
    if fits and not exponent.tall:
        return raise_to(Piece(symbol_box("e")), small)
    return apply(Name(text="exp"), [argument])


def _power(exponent: Expr, base: Piece, small: Piece) -> Piece:
    # tanh⁻¹ would be the inverse function; tanh² is what everybody writes.
    counts = isinstance(exponent, Number) and exponent.value.denominator == 1
    if counts and exponent.value > 1 and has_plain_name(base):  # type: ignore[attr-defined]
        return raise_name(base, small)
    return raise_to(base, small)


def _number(value: Rational, inline: bool) -> Piece:
    text, _ = number_text(abs(value))
    numerator, _, denominator = text.partition("/")
    if denominator:
        above, below = Piece(Digits(text=numerator)), Piece(Digits(text=denominator))
        piece = divide_inline(above, below) if inline else divide(above, below)
    else:
        piece = _scientific(text)
    return negate(piece) if value < 0 else piece


def _scientific(text: str) -> Piece:
    mantissa, _, exponent = text.partition("e")
    zeros = len(text) - len(text.rstrip("0"))
    if not exponent and text.isdigit() and zeros > 6:
        mantissa, exponent = text[:-zeros], str(zeros)
    if not exponent:
        return Piece(Digits(text=text))
    power = raise_to(Piece(Digits(text="10")), _number(Rational(exponent), True))
    return power if mantissa == "1" else multiply(Piece(Digits(text=mantissa)), power)


def symbol_box(name: str) -> Box:
    """A variable: Greek names as letters, ``x_1`` and ``x1`` with a subscript."""
    plain = name.rstrip("′'")
    primes = "′" * (len(name) - len(plain))
    head, _, index = plain.partition("_")
    letter = _letter(head)
    if not index and letter is None:
        stem = plain.rstrip("0123456789")
        letter, index = _letter(stem), plain[len(stem) :]
    if plain in _PYTHON_KEYWORD:
        letter, index = _PYTHON_KEYWORD[plain], ""
    if letter is None:
        return Word(text=name)
    base = Letter(text=letter + primes)
    if not index:
        return base
    below = Digits(text=index) if index.isdigit() else Word(text=index)
    index_letter = _letter(index)
    return Script((base, below if index_letter is None else Letter(text=index_letter), EMPTY))


def _letter(name: str) -> str | None:
    if name in GREEK:
        return GREEK[name]
    return name if len(name) == 1 and category(name).startswith("L") else None


def total_derivative(body: Piece, variable: Piece) -> Piece:
    """d/dx [body], a layout for :func:`register_layout`."""
    return _leibniz("d", body, variable)


def partial_derivative(body: Piece, variable: Piece) -> Piece:
    """∂/∂x [body], a layout for :func:`register_layout`."""
    return _leibniz("∂", body, variable)


def _leibniz(d: str, body: Piece, variable: Piece) -> Piece:
    below = row(Letter(text=d), variable.whole)
    name = body.box.parts[0] if isinstance(body.box, Script) else body.box
    if body.binding is Binding.ATOM and isinstance(name, (Letter, Word)):
        return Piece(Fraction((row(Letter(text=d), body.whole), below)), Binding.FACTOR)
    return apply(Fraction((Letter(text=d), below)), [body], "[]")


def _opposite(condition: Piece) -> Piece:
    return Piece(row(Prefix(text="¬"), bracket(condition).box), Binding.RELATION)


def _sech_squared(x: Piece) -> Piece:
    return Piece(
        Applied((Script((Name(text="sech"), EMPTY, Digits(text="2"))), Fence((x.whole,), "()"))),
        Binding.FACTOR,
    )


def _logarithm(base: str) -> Layout:
    return lambda x: apply(Script((Name(text="log"), Digits(text=base), EMPTY)), [x])


def _relation(sign: str) -> Layout:
    return lambda a, b: binary(a, Sign(text=sign), b, Binding.RELATION, Binding.SUM)


def _connective(word: str, binding: Binding) -> Layout:
    return lambda a, b: binary(a, Prose(text=word), b, binding, binding)


_BUILT_IN: dict[Function, Layout] = {
    ADD: add,
    SUB: subtract,
    MUL: multiply,
    NEG: negate,
    AND: _connective("and", Binding.AND),
    OR: _connective("or", Binding.OR),
    NOT: _opposite,
    where: choose,
    pi: lambda: Piece(Letter(text="π")),
    e: lambda: Piece(Letter(text="e")),
    sqrt: lambda x: Piece(Root((x.whole,)), Binding.FACTOR),
    abs_: lambda x: bracket(x, "||"),
    sech2: _sech_squared,
    log2: _logarithm("2"),
    log10: _logarithm("10"),
}
_LAYOUTS.update(_BUILT_IN)
_LAYOUTS.update({function: _relation(sign) for function, sign in _RELATIONS.items()})
