"""The functions a formula may use: one record each, its derivative beside it.

A derivative rule is written the way a textbook does; making it numerically stable is the work of
:mod:`gradsmith.numerics`. At a kink the rule is the convention: it follows PyTorch where PyTorch
has the function, and it is what ``gs.derive`` lists.
"""

from __future__ import annotations

from fractions import Fraction

from gradsmith.formula.expression import FUNCTIONS, Expr, Function, Number

HALF = Fraction(1, 2)

# Arithmetic. `Expr`'s operators look these up by name.
ADD: Function = Function(
    name="add", arity=2, partials=(lambda a, b: ONE, lambda a, b: ONE), torch=("add",)
)
SUB: Function = Function(
    name="sub", arity=2, partials=(lambda a, b: ONE, lambda a, b: -ONE), torch=("sub", "subtract")
)
MUL: Function = Function(
    name="mul", arity=2, partials=(lambda a, b: b, lambda a, b: a), torch=("mul", "multiply")
)
DIV: Function = Function(
    name="div",
    arity=2,
    partials=(lambda a, b: 1 / b, lambda a, b: -a / b**2),
    torch=("div", "divide", "true_divide"),
)
NEG: Function = Function(
    name="neg", arity=1, partials=(lambda a: -ONE,), parity="odd", torch=("neg", "negative")
)
POW: Function = Function(
    name="pow",
    arity=2,
    partials=(lambda a, b: b * a ** (b - 1), lambda a, b: a**b * log(a)),
    torch=("pow", "float_power"),
)
ONE: Number = Number(1)

# Conditions.
LT: Function = Function(name="lt", arity=2, boolean=True, torch=("lt", "less"))
LE: Function = Function(name="le", arity=2, boolean=True, torch=("le", "less_equal"))
GT: Function = Function(name="gt", arity=2, boolean=True, torch=("gt", "greater"))
GE: Function = Function(name="ge", arity=2, boolean=True, torch=("ge", "greater_equal"))
EQ: Function = Function(name="eq", arity=2, boolean=True, torch=("eq",))
NE: Function = Function(name="ne", arity=2, boolean=True, torch=("ne", "not_equal"))
AND: Function = Function(
    name="logical_and", arity=2, boolean=True, torch=("logical_and", "bitwise_and")
)
OR: Function = Function(
    name="logical_or", arity=2, boolean=True, torch=("logical_or", "bitwise_or")
)
NOT: Function = Function(
    name="logical_not", arity=1, boolean=True, torch=("logical_not", "bitwise_not")
)
where: Function = Function(
    name="where",
    arity=3,
    torch=("where",),
    summary="where(c, a, b): a where the condition c holds, else b",
)
"""Differentiated branch by branch: (where(c, a, b))′ = where(c, a′, b′)."""

# Constants.
pi: Function = Function(name="pi", arity=0, aliases=("π",), summary="π = 3.14159…")
e: Function = Function(name="e", arity=0, summary="Euler's number e = 2.71828…")

# Exponentials and logarithms.
exp: Function = Function(
    name="exp", arity=1, partials=(lambda x: exp(x),), torch=("exp",), summary="exp(x) = eˣ"
)
expm1: Function = Function(
    name="expm1",
    arity=1,
    partials=(lambda x: exp(x),),
    definition=lambda x: exp(x) - 1,
    torch=("expm1", "special.expm1"),
    summary="expm1(x) = eˣ − 1",
)
exp2: Function = Function(
    name="exp2",
    arity=1,
    partials=(lambda x: log(Number(2)) * exp2(x),),
    definition=lambda x: exp(x * log(Number(2))),
    torch=("exp2", "special.exp2"),
    summary="exp2(x) = 2ˣ",
)
log: Function = Function(
    name="log",
    arity=1,
    partials=(lambda x: 1 / x,),
    torch=("log",),
    aliases=("ln",),
    summary="log(x): natural logarithm",
)
log1p: Function = Function(
    name="log1p",
    arity=1,
    partials=(lambda x: 1 / (1 + x),),
    definition=lambda x: log(1 + x),
    torch=("log1p", "special.log1p"),
    summary="log1p(x) = log(1 + x)",
)
log2: Function = Function(
    name="log2",
    arity=1,
    partials=(lambda x: 1 / (x * log(Number(2))),),
    definition=lambda x: log(x) / log(Number(2)),
    torch=("log2",),
    summary="log2(x): logarithm to base 2",
)
log10: Function = Function(
    name="log10",
    arity=1,
    partials=(lambda x: 1 / (x * log(Number(10))),),
    definition=lambda x: log(x) / log(Number(10)),
    torch=("log10",),
    summary="log10(x): logarithm to base 10",
)
sqrt: Function = Function(
    name="sqrt",
    arity=1,
    partials=(lambda x: 1 / (2 * sqrt(x)),),
    torch=("sqrt",),
    summary="sqrt(x): square root",
)
rsqrt: Function = Function(
    name="rsqrt",
    arity=1,
    partials=(lambda x: -1 / (2 * x * sqrt(x)),),
    definition=lambda x: 1 / sqrt(x),
    torch=("rsqrt",),
    summary="rsqrt(x) = 1 / sqrt(x)",
)
square: Function = Function(
    name="square",
    arity=1,
    partials=(lambda x: 2 * x,),
    definition=lambda x: x**2,
    parity="even",
    torch=("square",),
    summary="square(x) = x²",
)
reciprocal: Function = Function(
    name="reciprocal",
    arity=1,
    partials=(lambda x: -1 / x**2,),
    definition=lambda x: 1 / x,
    parity="odd",
    torch=("reciprocal",),
    summary="reciprocal(x) = 1/x",
)

# Circular and hyperbolic functions.
sin: Function = Function(
    name="sin",
    arity=1,
    partials=(lambda x: cos(x),),
    parity="odd",
    torch=("sin",),
    summary="sin(x)",
)
cos: Function = Function(
    name="cos",
    arity=1,
    partials=(lambda x: -sin(x),),
    parity="even",
    torch=("cos",),
    summary="cos(x)",
)
tan: Function = Function(
    name="tan",
    arity=1,
    partials=(lambda x: 1 + tan(x) ** 2,),
    definition=lambda x: sin(x) / cos(x),
    parity="odd",
    torch=("tan",),
    summary="tan(x)",
)
atan: Function = Function(
    name="atan",
    arity=1,
    partials=(lambda x: 1 / (1 + x**2),),
    parity="odd",
    torch=("atan", "arctan"),
    aliases=("arctan",),
    summary="atan(x): inverse tangent, in radians",
)
sinh: Function = Function(
    name="sinh",
    arity=1,
    partials=(lambda x: cosh(x),),
    parity="odd",
    torch=("sinh",),
    summary="sinh(x) = (eˣ − e⁻ˣ)/2",
)
cosh: Function = Function(
    name="cosh",
    arity=1,
    partials=(lambda x: sinh(x),),
    parity="even",
    torch=("cosh",),
    summary="cosh(x) = (eˣ + e⁻ˣ)/2",
)
tanh: Function = Function(
    name="tanh",
    arity=1,
    partials=(lambda x: 1 - tanh(x) ** 2,),
    parity="odd",
    torch=("tanh", "nn.functional.tanh"),
    summary="tanh(x) = (eˣ − e⁻ˣ)/(eˣ + e⁻ˣ)",
)
asinh: Function = Function(
    name="asinh",
    arity=1,
    partials=(lambda x: 1 / sqrt(1 + x**2),),
    parity="odd",
    torch=("asinh", "arcsinh"),
    aliases=("arcsinh",),
    summary="asinh(x) = log(x + sqrt(1 + x²))",
)

# Error function and the normal distribution.
erf: Function = Function(
    name="erf",
    arity=1,
    partials=(lambda x: 2 / sqrt(pi()) * exp(-(x**2)),),
    parity="odd",
    torch=("erf", "special.erf"),
    summary="erf(x) = 2/√π ∫₀ˣ exp(−t²) dt",
)
erfc: Function = Function(
    name="erfc",
    arity=1,
    partials=(lambda x: -2 / sqrt(pi()) * exp(-(x**2)),),
    torch=("erfc", "special.erfc"),
    summary="erfc(x) = 1 − erf(x)",
)
ndtr: Function = Function(
    name="ndtr",
    arity=1,
    partials=(lambda x: exp(-(x**2) / 2) / sqrt(2 * pi()),),
    definition=lambda x: erfc(-x / sqrt(Number(2))) / 2,
    torch=("special.ndtr",),
    aliases=("normcdf", "norm_cdf", "Phi", "Φ"),
    summary="ndtr(x) = Φ(x) = (1 + erf(x/√2))/2: the standard normal distribution function",
)

# The building blocks of activations.
sigmoid: Function = Function(
    name="sigmoid",
    arity=1,
    partials=(lambda x: sigmoid(x) * (1 - sigmoid(x)),),
    definition=lambda x: 1 / (1 + exp(-x)),
    torch=("sigmoid", "nn.functional.sigmoid", "special.expit"),
    aliases=("σ", "expit", "logistic"),
    summary="sigmoid(x) = 1/(1 + e⁻ˣ)",
)
softplus: Function = Function(
    name="softplus",
    arity=1,
    partials=(lambda x: sigmoid(x),),
    definition=lambda x: log(1 + exp(x)),
    summary="softplus(x) = log(1 + eˣ)",
)
relu: Function = Function(
    name="relu",
    arity=1,
    partials=(lambda x: where(x > 0, 1, 0),),
    definition=lambda x: where(x > 0, x, 0),
    torch=("relu", "nn.functional.relu"),
    summary="relu(x) = max(x, 0), with relu′(0) = 0",
)
abs_: Function = Function(
    name="abs",
    arity=1,
    partials=(lambda x: sign(x),),
    parity="even",
    torch=("abs", "absolute"),
    summary="abs(x) = |x|, with abs′(0) = 0",
)
sign: Function = Function(
    name="sign",
    arity=1,
    partials=(lambda x: Number(0),),
    parity="odd",
    torch=("sign", "sgn"),
    aliases=("sgn",),
    summary="sign(x): −1, 0 or 1",
)
heaviside: Function = Function(
    name="heaviside",
    arity=1,
    partials=(lambda x: Number(0),),
    definition=lambda x: where(x > 0, 1, where(x < 0, 0, HALF)),
    summary="heaviside(x): 0 for x < 0, 1/2 at 0, 1 for x > 0",
)
maximum: Function = Function(
    name="max",
    arity=2,
    # torch.maximum gives each argument half of the gradient where they are equal.
    partials=(
        lambda a, b: where(a > b, 1, where(a < b, 0, HALF)),
        lambda a, b: where(a > b, 0, where(a < b, 1, HALF)),
    ),
    definition=lambda a, b: where(a > b, a, b),
    torch=("maximum", "max"),
    aliases=("maximum",),
    summary="max(a, b), each with half of the gradient where a = b",
)
minimum: Function = Function(
    name="min",
    arity=2,
    partials=(
        lambda a, b: where(a < b, 1, where(a > b, 0, HALF)),
        lambda a, b: where(a < b, 0, where(a > b, 1, HALF)),
    ),
    definition=lambda a, b: where(a < b, a, b),
    torch=("minimum", "min"),
    aliases=("minimum",),
    summary="min(a, b), each with half of the gradient where a = b",
)
clip: Function = Function(
    name="clip",
    arity=3,
    # torch.clamp lets the gradient through at both bounds.
    partials=(
        lambda x, low, high: where(AND(x >= low, x <= high), 1, 0),
        lambda x, low, high: where(x < low, 1, 0),
        lambda x, low, high: where(AND(x >= low, x > high), 1, 0),
    ),
    definition=lambda x, low, high: where(x < low, low, where(x > high, high, x)),
    aliases=("clamp",),
    summary="clip(x, low, high), with derivative 1 at both bounds",
)

# Made by the rewriting; each is safe on the whole range where its spelled-out form is not.
sech2: Function = Function(
    name="sech2",
    arity=1,
    partials=(lambda x: -2 * tanh(x) * sech2(x),),
    definition=lambda x: 1 / cosh(x) ** 2,
    parity="even",
    internal=True,
    summary="sech2(x) = 1/cosh(x)² = 1 − tanh(x)²",
)
erfcx: Function = Function(
    name="erfcx",
    arity=1,
    partials=(lambda x: 2 * x * erfcx(x) - 2 / sqrt(pi()),),
    definition=lambda x: exp(x**2) * erfc(x),
    torch=("special.erfcx",),
    summary="erfcx(x) = exp(x²) erfc(x)",
)
product_error: Function = Function(
    name="product_error",
    arity=2,
    definition=lambda a, b: Number(0),
    internal=True,
    summary="product_error(a, b): a·b minus its rounded value; zero in exact arithmetic",
)
sum_error: Function = Function(
    name="sum_error",
    arity=2,
    definition=lambda a, b: Number(0),
    internal=True,
    summary="sum_error(a, b): a + b minus its rounded value; zero in exact arithmetic",
)
tabulated: Function = Function(
    name="tabulated",
    arity=None,
    internal=True,
    summary="tabulated(x, |x|, u, …) = limit + exp(rate·u)·T(|x|), rate and T given by numbers",
)

ARITHMETIC = frozenset({ADD, SUB, MUL, DIV, NEG, POW})
COMPARISONS = frozenset({LT, LE, GT, GE, EQ, NE})
LOGIC = frozenset({AND, OR, NOT})
CONSTANTS = frozenset({pi, e})

_OPERATORS = ARITHMETIC | COMPARISONS | LOGIC
USABLE: dict[str, Function] = {
    name: function
    for name, function in FUNCTIONS.items()
    if function not in _OPERATORS and not function.internal
}
"""What a formula may call, by every name; the operators have their own syntax."""


def expand_definition(node: Expr) -> Expr:
    """One step of unfolding: a call of a defined function becomes its definition."""
    function = getattr(node, "function", None)
    if function is None or function.definition is None:
        return node
    from gradsmith.formula.expression import as_expr

    return as_expr(function.definition(*node.args))
