"""Do the tests notice? Deliberate errors, one at a time, each in a copy of the source.

Run it with ``make mutations``. The tests must pass on the source as it is, and every error must
make at least one of those named beside it fail; one that survives is printed and makes the exit
code 1. The errors are data:
:data:`MUTATIONS` names the file, the text and what it is replaced by. A text that is not found
exactly once is an error of this table.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 1200  # seconds for the tests of one error, and for all on the source as it is


@dataclass(frozen=True, slots=True)
class Mutation:
    """One deliberate error.

    Attributes:
        what: the error in words.
        file: below ``src/gradsmith``.
        old: text that occurs once.
        new: what stands there instead.
        tests: files below ``tests`` that must notice.
    """

    what: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


_ELEMENTARY = "numerics/elementary"
_COEFFICIENTS = f"{_ELEMENTARY}/coefficients"

MUTATIONS: tuple[Mutation, ...] = (
    # Coefficients: the last digit of one of them.
    Mutation(
        "last digit of a coefficient of exp in float64",
        f"{_COEFFICIENTS}/exponential.py",
        'float.fromhex("0x1.000000000000ap-1")',
        'float.fromhex("0x1.000000000000bp-1")',
        ("numerics/elementary/test_coefficients.py",),
    ),
    Mutation(
        "a digit in the middle of a coefficient of the short exp",
        f"{_COEFFICIENTS}/exponential.py",
        'float.fromhex("0x1.00000042449cap-1")',
        'float.fromhex("0x1.00001042449cap-1")',
        ("numerics/elementary/test_coefficients.py",),
    ),
    Mutation(
        "last digit of a coefficient of log in float64",
        f"{_COEFFICIENTS}/logarithm.py",
        'float.fromhex("0x1.555555555554ap-2")',
        'float.fromhex("0x1.555555555554bp-2")',
        ("numerics/elementary/test_coefficients.py",),
    ),
    Mutation(
        "a digit in the middle of a coefficient of the short erfc",
        f"{_COEFFICIENTS}/error_function.py",
        'float.fromhex("0x1.ad3c563be50ebp+5")',
        'float.fromhex("0x1.ad3c663be50ebp+5")',
        ("numerics/elementary/test_error_function.py",),
    ),
    Mutation(
        "last digit of a coefficient of erfc in two words",
        f"{_COEFFICIENTS}/error_function_words.py",
        'float.fromhex("0x1.08547c0000000p+2")',
        'float.fromhex("0x1.08547e0000000p+2")',
        ("numerics/elementary/test_error_function_words.py",),
    ),
    Mutation(
        "a second word moves erfc the other way",
        f"{_ELEMENTARY}/error_function_words.py",
        "fma(shift, -_TWO_OVER_SQRT_PI, low)",
        "fma(shift, _TWO_OVER_SQRT_PI, low)",
        ("numerics/elementary/test_error_function_words.py",),
    ),
    Mutation(
        "last digit of a coefficient of tanh in float32",
        f"{_COEFFICIENTS}/hyperbolic_table.py",
        'float.fromhex("0x1.131446p-2")',
        'float.fromhex("0x1.131448p-2")',
        ("numerics/elementary/test_hyperbolic_table.py",),
    ),
    Mutation(
        "last digit of a logarithm in the table of log1p",
        f"{_COEFFICIENTS}/logarithm_table.py",
        'float.fromhex("0x1.9013bep-5")',
        'float.fromhex("0x1.9013c0p-5")',
        (f"{_ELEMENTARY}/test_logarithm_table.py",),
    ),
    # Branch points of the elementary functions.
    Mutation(
        "expm1 is −1 from −30 on in float64",
        f"{_ELEMENTARY}/exponential.py",
        "_MINUS_ONE = {F64: -60.0",
        "_MINUS_ONE = {F64: -30.0",
        ("numerics/elementary/test_accuracy.py",),
    ),
    Mutation(
        "expm1(x) is x up to 2⁻⁵⁰",
        f"{_ELEMENTARY}/exponential.py",
        "_TINY = {F64: 2.0**-54",
        "_TINY = {F64: 2.0**-50",
        ("numerics/elementary/test_accuracy.py",),
    ),
    Mutation(
        "tanh is 1 from 17 on in float64",
        f"{_ELEMENTARY}/hyperbolic.py",
        "_ONE = 22.0",
        "_ONE = 17.0",
        ("numerics/elementary/test_accuracy.py",),
    ),
    Mutation(
        "erfc is 0 before its subnormal values end",
        f"{_ELEMENTARY}/error_function.py",
        "nothing=27.5",
        "nothing=27.0",
        ("numerics/elementary/test_error_function.py",),
    ),
    # Rewrite rules and repairs.
    Mutation(
        "1 − σ(a) = σ(a)",
        "numerics/rules.py",
        '1 - sigmoid(a), sigmoid(-a), "cancels where σ is near 1"',
        '1 - sigmoid(a), sigmoid(a), "cancels where σ is near 1"',
        ("numerics/test_rules.py",),
    ),
    Mutation(
        "sech² by one exp without its factor",
        "numerics/rules.py",
        "4 * exp(-2 * abs_(a)) / (1 + exp(-2 * abs_(a))) ** 2",
        "2 * exp(-2 * abs_(a)) / (1 + exp(-2 * abs_(a))) ** 2",
        ("numerics/test_rules.py",),
    ),
    Mutation(
        "log(1 − a) = log1p(a)",
        "numerics/rules.py",
        'log(1 - a), log1p(-a), "1 − tiny is 1"',
        'log(1 - a), log1p(a), "1 − tiny is 1"',
        ("numerics/test_rules.py",),
    ),
    Mutation(
        "the low part of a root with the wrong sign",
        "numerics/roots.py",
        "t = t - low if low > 0 else t + -low",
        "t = t + low if low > 0 else t - -low",
        ("numerics/test_roots.py",),
    ),
    Mutation(
        "a deep exponential split into halves that are not",
        "numerics/underflow.py",
        "e = exp(where(halved[0], u / 2, u))",
        "e = exp(where(halved[0], u / 3, u))",
        ("numerics/test_underflow.py",),
    ),
    Mutation(
        "the sign of a zero at zero the wrong way round",
        "numerics/zeros.py",
        "nothing if above > 0 else -nothing",
        "nothing if above < 0 else -nothing",
        ("numerics/test_zeros.py",),
    ),
    # From expression to machine.
    Mutation(
        "a decimal in a comparison moved to the wrong side",
        "numerics/lower.py",
        "up = (node.function in (v.LT, v.GE)) == (position == 1)",
        "up = (node.function in (v.LT, v.GE)) != (position == 1)",
        ("numerics/test_lower.py",),
    ),
    Mutation(
        "products fused in spite of compensation",
        "numerics/lower.py",
        "_COMPENSATION = frozenset({v.product_error, v.sum_error})",
        "_COMPENSATION = frozenset({v.sum_error})",
        ("numerics/test_lower.py",),
    ),
    Mutation(
        "rounding to odd that rounds to even",
        "numerics/builder.py",
        "even = equal(pattern & 1, 0)",
        "even = equal(pattern & 1, 1)",
        ("numerics/test_program.py",),
    ),
    Mutation(
        "float32 trusted after several roundings",
        "numerics/ladder.py",
        "ONE_ROUNDING = 0.51",
        "ONE_ROUNDING = 5.1",
        ("numerics/test_ladder.py",),
    ),
    Mutation(
        "a fused multiply-add compiled as product and sum",
        "backends/llvm_ir.py",
        'Op.FMA: "llvm.fma"',
        'Op.FMA: "llvm.fmuladd"',
        ("backends/test_llvm.py",),
    ),
    # What judges.
    Mutation(
        "infinity right from the largest number plus one unit on",
        "truth/ulp.py",
        "_unit_of_largest(dtype) / 2\n    size",
        "_unit_of_largest(dtype)\n    size",
        ("truth/test_ulp.py",),
    ),
    Mutation(
        "the limit at a signed zero from the other side",
        "truth/oracle.py",
        "both[np.copysign(1.0, x)] if x == 0",
        "both[np.copysign(1.0, -x)] if x == 0",
        ("truth/test_oracle.py",),
    ),
    Mutation(
        "what float64 cannot hold among subnormal numbers is forgotten",
        "truth/limits.py",
        "rest = float((ball.mid() - high - low) * arb(2) ** 1074)",
        "rest = 0.0",
        ("truth/test_oracle.py",),
    ),
    Mutation(
        "the oracle's tanh saturates too early",
        "truth/analytic.py",
        "distance = div(mul(constant(2), small), add(constant(1), small))",
        "distance = div(mul(constant(2), small), add(constant(1), constant(0)))",
        ("truth/test_oracle.py",),
    ),
    Mutation(
        "a piece of the oracle with half of its margin",
        "truth/fit.py",
        "margin = (error + horner_error(rounded, self.reach)) * _UP",
        "margin = (error + horner_error(rounded, self.reach)) * _UP / 64",
        ("truth/test_pieces.py",),
    ),
    Mutation(
        "the derivative of tanh with another power",
        "formula/vocabulary.py",
        "partials=(lambda x: 1 - tanh(x) ** 2,)",
        "partials=(lambda x: 1 - tanh(x) ** 4,)",
        ("truth/test_oracle.py",),
    ),
    Mutation(
        "the derivative of relu at its kink",
        "formula/vocabulary.py",
        "partials=(lambda x: where(x > 0, 1, 0),)",
        "partials=(lambda x: where(x >= 0, 1, 0),)",
        ("calculus/test_derivative.py",),
    ),
    Mutation(
        "two words trusted with several inputs",
        "numerics/ladder.py",
        "        in_words = False\n",
        "        in_words = alone\n",
        ("numerics/test_ladder.py",),
    ),
    Mutation(
        "two words that are infinite too soon are taken",
        "numerics/trial.py",
        "np.array_equal(np.isinf(computed), np.isinf(expected))",
        "True",
        ("numerics/test_overflow.py",),
    ),
    Mutation(
        "an end of the range looked for between a few numbers alone",
        "numerics/overflow.py",
        "[*at, -largest, largest]",
        "at",
        ("numerics/test_overflow.py",),
    ),
    Mutation(
        "a form for one sign of u continued with the exponential of the other",
        "numerics/one_sided.py",
        "exponent = times(rate * side, u)",
        "exponent = times(-rate * side, u)",
        ("numerics/test_one_sided.py",),
    ),
    Mutation(
        "a choice spared whose branches have nothing to do with the exponential",
        "numerics/one_sided.py",
        " and any(small in walk(b) for b in call.args[1:])",
        "",
        ("numerics/test_one_sided.py",),
    ),
    Mutation(
        "a line multiplied in one of its terms alone",
        "numerics/lines.py",
        "return _Line(scale * self.a, self.u, scale * self.b)",
        "return _Line(scale * self.a, self.u, self.b)",
        ("numerics/test_lines.py",),
    ),
    Mutation(
        "a line that is not 0 at its root",
        "numerics/lines.py",
        "return _Line(a, line.u, -a * root).written()",
        "return _Line(a, line.u, line.b).written()",
        ("numerics/test_lines.py",),
    ),
    Mutation(
        "a decision by a line that is written otherwise",
        "numerics/lines.py",
        "decides = isinstance(node, Call) and node.function.boolean",
        "decides = False",
        ("numerics/test_lines.py",),
    ),
    Mutation(
        "a constant that float32 does not hold chosen there",
        "numerics/narrowing.py",
        "if near != value and not isnan(value):",
        "if near != near:",
        ("numerics/test_narrowing.py",),
    ),
    Mutation(
        "numbers of float64 that are compared in float32 in part",
        "numerics/narrowing.py",
        "len(known) == len(operands) else None",
        "known else None",
        ("numerics/test_narrowing.py",),
    ),
    Mutation(
        "numbers of float64 that are rounded before they are compared",
        "numerics/narrowing.py",
        "wide.type is F64 and not _not_held(wide, F32) else None",
        "wide.type is F64 else None",
        ("numerics/test_narrowing.py",),
    ),
    Mutation(
        "what is NaN taken for a number, and a number for NaN",
        "numerics/narrowing.py",
        "return _not_numbers(*condition.operands)[::-1]",
        "return _not_numbers(*condition.operands)",
        ("numerics/test_narrowing.py",),
    ),
    Mutation(
        "a stretch of patterns that is longer by one",
        "backends/llvm_patterns.py",
        "{high - low}",
        "{high - low + 1}",
        ("backends/test_llvm_patterns.py",),
    ),
    Mutation(
        "a NaN of half precision rounded like one of bfloat16",
        "backends/short_nans.py",
        "program.type_of(args[0]) is BF16",
        "program.type_of(args[0]).bits == 16",
        ("backends/test_short_nans.py",),
    ),
    Mutation(
        "any bits taken for those of a power of two",
        "backends/short_nans.py",
        "made.op is Op.SHL and made.constant >= _CUT[kind]",
        "made.op is Op.SHL",
        ("backends/test_short_nans.py",),
    ),
    Mutation(
        "eight vectors however short the chain is",
        "backends/interleave.py",
        "max(_LONG, _CYCLES_AN_OPERATION * work)",
        "_CYCLES_AN_OPERATION * work",
        ("backends/test_interleave.py",),
    ),
    Mutation(
        "a gate in a form that was judged by a sample of combinations alone",
        "numerics/joint.py",
        "if (gate := stable.gate) is None:\n        return error",
        "if (gate := stable.gate) is not None:\n        return error",
        ("numerics/test_joint.py",),
    ),
    Mutation(
        "gradients that share an exponential without a look at their errors",
        "numerics/joint.py",
        "errors[form] > stable.target.budget",
        "errors[form] > inf",
        ("numerics/test_joint.py",),
    ),
    Mutation(
        "a constant moved away from the root instead of to it",
        "numerics/exact_roots.py",
        "yield _changed(expression, node, i, near + by)",
        "yield _changed(expression, node, i, near - by)",
        ("numerics/test_exact_roots.py",),
    ),
    Mutation(
        "a constant for one root that is wrong beside another",
        "numerics/exact_roots.py",
        "for rings in seen):",
        "for rings in seen[-1:]):",
        ("numerics/test_exact_roots.py",),
    ),
    Mutation(
        "an expression made for one scheme computed in another",
        "operator/kernels.py",
        "(one.scheme is best.scheme or not one.particular)",
        "(one.scheme is best.scheme or True)",
        ("operator/test_native.py",),
    ),
    Mutation(
        "the second factor of a gate made for no more range than the first",
        "numerics/separable.py",
        "lowest, largest = target.lowest - top, ldexp(target.largest, -target.lowest)",
        "lowest, largest = target.lowest, target.largest",
        ("numerics/test_separable.py",),
    ),
    Mutation(
        "gates looked at as a whole",
        "numerics/ladder.py",
        "if (gate := _gate(stable, alone, max_ulp)) is not None:",
        "if (gate := None) is not None:",
        ("numerics/test_separable.py",),
    ),
    Mutation(
        "a constant goes into every choice",
        "numerics/constants_inward.py",
        "if after <= before else node",
        "if after <= before + 1 else node",
        ("numerics/test_constants_inward.py",),
    ),
    Mutation(
        "a table for each side with fewer pieces than are looked up",
        "numerics/piecewise.py",
        "if len(curves) > 1 and count != SIDE:",
        "if len(curves) > 2:",
        ("numerics/test_piecewise.py", "numerics/test_tabulate.py"),
    ),
    Mutation(
        "what words leave of an exponential taken for half of it",
        f"{_ELEMENTARY}/words.py",
        "1.002 * expm1_of(HALF_STEP)",
        "0.501 * expm1_of(HALF_STEP)",
        (f"{_ELEMENTARY}/test_words.py",),
    ),
    Mutation(
        "a number taken for one that float32 holds",
        "numerics/fit.py",
        "return Fit.ONE_WORD if c_float(value).value == value else Fit.TWO_WORDS",
        "return Fit.ONE_WORD",
        ("numerics/test_ladder.py",),
    ),
    Mutation(
        "what rounding took from a table's entries added where it is to be taken off",
        "numerics/elementary/words.py",
        "    return lost - lost**2 / 2\n",
        "    return lost**2 / 2 - lost\n",
        ("numerics/elementary/test_words.py",),
    ),
    Mutation(
        "vectors that look up in the wrong half of a table",
        "backends/llvm_lookup.py",
        "i32 {31 - bit}",
        "i32 {30 - bit}",
        ("backends/test_llvm_lookup.py",),
    ),
    Mutation(
        "a quotient that is used elsewhere too merged with another",
        "numerics/fewer_divisions.py",
        "all(uses[branch] == 1 for branch in node.args[1:])",
        "all(uses[branch] >= 1 for branch in node.args[1:])",
        ("numerics/test_fewer_divisions.py",),
    ),
    Mutation(
        "the rounding error of a product of two words left out",
        "numerics/double_word_arithmetic.py",
        "    low = fma(a.high, b.high, -high)\n",
        "    low = high - high\n",
        ("numerics/test_double_word.py",),
    ),
    Mutation(
        "a thread's share that is not whole",
        "backends/llvm_worker.py",
        "%up = add i64 %part, 63",
        "%up = add i64 %part, 0",
        ("operator/test_layout.py",),
    ),
    Mutation(
        "a row that is taken for one element",
        "operator/layout.py",
        "next(moves) == 0",
        "next(moves) <= 1",
        ("operator/test_layout.py",),
    ),
    Mutation(
        "the output kept where it does not tell the input",
        "operator/by_output.py",
        "_NOTHING = 1e-3",
        "_NOTHING = 1e30",
        ("operator/test_saving.py",),
    ),
    Mutation(
        "the code of a value in place of NaN's",
        "operator/masked.py",
        "return where(condition, 0, _coded(b, codes))",
        "return where(condition, 1, _coded(b, codes))",
        ("operator/test_masked.py",),
    ),
    Mutation(
        "an upstream gradient read in another order than the codes",
        "operator/masked.py",
        "if not single and g.stride() != kept.strides:",
        "if not single and g.shape != kept.like.shape:",
        ("operator/test_masked.py",),
    ),
    Mutation(
        "codes behind the end of a tensor",
        "backends/llvm_packing.py",
        "select i1 %whole, i64 -1, i64 %some",
        "select i1 %whole, i64 -1, i64 -1",
        ("backends/test_llvm_packing.py",),
    ),
    Mutation(
        "nothing looked at where parts of a formula have their origins",
        "numerics/measure.py",
        "line = np.concatenate([line, landmarks(root, inputs[0], defaults, line)])",
        "line = line + 0.0",
        ("numerics/test_landmarks.py",),
    ),
    Mutation(
        "an input held where something happens farther out",
        "numerics/limits.py",
        "return all(self._settled(value, limit) for value in beyond if not math.isnan(value))",
        "return True",
        ("numerics/test_landmarks.py",),
    ),
    Mutation(
        "a product sign taken for a letter",
        "formula/names.py",
        "    if character in _PRODUCTS:",
        "    if character in _PRODUCTS[1:]:",
        ("formula/test_parse.py",),
    ),
    Mutation(
        "machine code trusted that others may write",
        "backends/folder.py",
        "state.st_mode & (stat.S_IWGRP | stat.S_IWOTH)",
        "state.st_mode & stat.S_IWOTH",
        ("backends/test_folder.py",),
    ),
    Mutation(
        "threads by the number of elements alone",
        "backends/threads.py",
        "return int(GRAIN * _MOVING / (_MOVING + cost))",
        "return GRAIN",
        ("backends/test_threads.py",),
    ),
    Mutation(
        "no large pages",
        "backends/pages.py",
        "if size >= LARGE and",
        "if size >= 2**40 and",
        ("backends/test_pages.py",),
    ),
    Mutation(
        "a kernel for the defaults serves other numbers",
        "operator/usual.py",
        "elif type(operand) not in NUMBERS or not _is(operand, default):",
        "elif type(operand) not in NUMBERS:",
        ("operator/test_usual.py",),
    ),
    Mutation(
        "the gradient in a parameter at its default is 0",
        "operator/usual.py",
        "if symbol.name not in of.defaults:",
        "if True:",
        ("operator/test_usual.py",),
    ),
    # Ways of computing.
    Mutation(
        "a series about a root that is off by the last digits of the root",
        "numerics/roots.py",
        "    low = float(kind(float((place - arb(high)).mid())))\n",
        "    low = 0.0\n",
        ("numerics/test_shortfall.py", "numerics/test_roots.py"),
    ),
    Mutation(
        "bounds of the larger of two that forget NaN",
        "numerics/bounds.py",
        "    constant = number is not None and number.op is Op.CONST\n",
        "    constant = True\n",
        ("numerics/test_bounds.py",),
    ),
    Mutation(
        "a plan that is taken for that of another formula",
        "operator/plans.py",
        "forms = to_nodes(core, *_origins(operation))",
        "forms = len(to_nodes(core, *_origins(operation)))",
        ("operator/test_plans.py",),
    ),
    # A citizen of PyTorch.
    Mutation(
        "forward mode that drops all tangents but the first",
        "operator/autograd.py",
        "    total = reduce(torch.add, products)",
        "    total = products[0]",
        ("operator/test_transforms.py",),
    ),
    Mutation(
        "a zero without memory taken for a plain tensor",
        "operator/native.py",
        "_BEYOND_PLAIN = ~_PLAIN_KEYS.raw_repr()",
        "_BEYOND_PLAIN = 0",
        ("citizen/test_plain.py",),
    ),
    Mutation(
        "a pending sum of a DTensor taken for the sum",
        "operator/by_shards.py",
        "    if list(tensor.placements) != needed:",
        "    if False:",
        ("operator/test_by_shards.py",),
    ),
    # Tables of a function's own.
    Mutation(
        "a table's sign is the same on both sides",
        f"{_ELEMENTARY}/tabulated.py",
        " ^ (bits(x.high) & -(2**31)) ^ -(2**31))\n",
        " ^ (bits(x.high) & 0) ^ -(2**31))\n",
        ("numerics/elementary/test_tabulated.py",),
    ),
    Mutation(
        "what rounding takes from a table's limit is left out",
        f"{_ELEMENTARY}/tabulated.py",
        "            low = low + of_side(left, left_out) if any(left_out) else low\n",
        "",
        ("numerics/elementary/test_tabulated.py",),
    ),
    Mutation(
        "a table's second word has any sign",
        f"{_ELEMENTARY}/tabulated.py",
        "(lambda: written(pieces.lean)) if leans",
        "(lambda: written(0.0)) if leans",
        ("numerics/test_tabulate.py",),
    ),
    Mutation(
        "the third word of a root's place left out",
        f"{_ELEMENTARY}/tabulated.py",
        "    third = [lookup(index, thirds)] if any(thirds) else []\n",
        "    third: list[Value] = []\n",
        ("numerics/test_tabulate.py",),
    ),
    Mutation(
        "an exponential of a table stays what it last was",
        f"{_ELEMENTARY}/words.py",
        "NOTHING = -(_LAYOUT.bias + ASIDE) * log_of(2.0)",
        "NOTHING = -(_LAYOUT.bias + ASIDE - 1) * log_of(2.0)",
        ("numerics/test_tabulate.py",),
    ),
    Mutation(
        "the curve of an exponential at another rate",
        f"{_ELEMENTARY}/words.py",
        "c * rate ** (power + 2)",
        "c * rate ** (power + 1)",
        ("numerics/elementary/test_words.py",),
    ),
    Mutation(
        "beside a line what is nothing is thought to keep its sign",
        f"{_ELEMENTARY}/tabulated.py",
        "return not self.has_seconds and ",
        "return True or ",
        ("numerics/test_tabulate.py",),
    ),
    Mutation(
        "differences with the places of a table taken for exact",
        "numerics/piecewise.py",
        "np.abs(slopes) * inexact / 2 > _OF_PLACES",
        "np.abs(slopes) * inexact / 2 > 1 + _OF_PLACES",
        ("numerics/test_piecewise.py",),
    ),
    Mutation(
        "a table of what is beside a limit, for what is beside none",
        "numerics/tabulate.py",
        "one = 1 if flip and factors[0].limit and not factors[1].limit else 0",
        "one = 0",
        ("numerics/test_tabulate.py",),
    ),
    Mutation(
        "one word for slopes however steep",
        "numerics/piecewise.py",
        "_GENTLE = 1 / 12\n",
        "_GENTLE = 4.0\n",
        ("numerics/test_tabulate.py", "numerics/test_piecewise.py"),
    ),
    Mutation(
        "a value may be outweighed by what it cancels with",
        "numerics/piecewise.py",
        "(np.where(wrong, np.inf, lost))",
        "(lost)",
        ("numerics/test_piecewise.py", "numerics/test_tabulate.py"),
    ),
    Mutation(
        "polynomials of a table as right as they happen to be",
        "numerics/piecewise.py",
        "_ALLOWED = 2.0**-27.5\n",
        "_ALLOWED = 2.0**-24.0\n",
        ("numerics/test_piecewise.py",),
    ),
    Mutation(
        "products of three overflow where their factor is not known",
        "numerics/double_word_arithmetic.py",
        "        return abs(a.high * b.high) >= _LARGEST\n",
        "        return abs(b.high) >= _LARGE\n",
        ("numerics/test_products.py",),
    ),
    Mutation(
        "a table in a kernel that is not in two words",
        "operator/kernels.py",
        "(one.scheme is best.scheme or not one.particular)",
        "True",
        ("operator/test_native.py",),
    ),
)


def survives(mutation: Mutation) -> str | None:
    """Why the error counts as unnoticed; None where a test failed."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "src"
        shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
        target = source / "gradsmith" / mutation.file
        text = target.read_text(encoding="utf-8")
        if text.count(mutation.old) != 1:
            return f"the text occurs {text.count(mutation.old)} times in {mutation.file}"
        target.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
        ran = tested(source, mutation.tests)
    # 1: tests ran and some failed. Anything else is no proof that a test noticed.
    return None if ran.returncode == 1 else f"pytest ended with {ran.returncode}: {_last(ran)}"


def tested(source: Path, tests: Iterable[str]) -> subprocess.CompletedProcess[str]:
    """The tests, run on the package in ``source`` until one fails."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    command += [str(ROOT / "tests" / test) for test in tests]
    environment = {**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE
    )


def _last(ran: subprocess.CompletedProcess[str]) -> str:
    return "".join((ran.stdout or ran.stderr).strip().splitlines()[-1:])


def main(wanted: list[str]) -> int:
    """Try all errors, or those whose description contains one of ``wanted``."""
    chosen = [m for m in MUTATIONS if not wanted or any(word in m.what for word in wanted)]
    # A test that fails anyway would notice everything.
    ran = tested(ROOT / "src", dict.fromkeys(test for m in chosen for test in m.tests))
    print(f"without an error: {_last(ran)}", flush=True)
    if ran.returncode:
        return 1
    unnoticed = 0
    for number, mutation in enumerate(chosen, 1):
        start = time.monotonic()
        reason = survives(mutation)
        unnoticed += reason is not None
        verdict = "noticed" if reason is None else f"NOT NOTICED ({reason})"
        seconds = time.monotonic() - start
        print(
            f"{number:2}/{len(chosen)}  {verdict}  {mutation.what}  [{seconds:.0f} s]", flush=True
        )
    print(f"{len(chosen) - unnoticed} of {len(chosen)} errors were noticed")
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
