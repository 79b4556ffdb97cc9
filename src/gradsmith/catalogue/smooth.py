"""Smooth relatives of the rectifier: linear on the right, flat on the left."""

from __future__ import annotations

from gradsmith.catalogue import conventions
from gradsmith.catalogue.record import Entry

_SOFTPLUS = (
    "Dugas, Bengio, Bélisle, Nadeau, Garcia: Incorporating Second-Order Functional Knowledge for "
    "Better Option Pricing, NIPS 2000"
)
_GELU = "Hendrycks, Gimpel: Gaussian Error Linear Units (GELUs), 2016, arXiv:1606.08415"

ENTRIES = (
    Entry(
        name="softplus",
        formula="log(1 + exp(beta*x))/beta",
        parameters={"beta": 1.0},
        valid=(("beta", "!=", 0),),
        summary="smooth rectifier",
        reference=_SOFTPLUS,
        torch="torch.nn.functional.softplus",
        module="Softplus",
        convention=conventions.softplus,
        variants=("softplus_threshold",),
    ),
    Entry(
        name="softplus_threshold",
        formula="where(beta*x > threshold, x, softplus(x, beta=beta))",
        parameters={"beta": 1.0, "threshold": conventions.SOFTPLUS_THRESHOLD},
        valid=(("beta", "!=", 0),),
        summary="smooth rectifier that is cut over to the input itself where beta*x > threshold",
        reference="PyTorch documentation, torch.nn.Softplus",
        torch="torch.nn.functional.softplus",
    ),
    Entry(
        name="elu",
        formula="where(x > 0, x, alpha*(exp(x) - 1))",
        parameters={"alpha": 1.0},
        summary="exponential linear unit",
        reference=(
            "Clevert, Unterthiner, Hochreiter: Fast and Accurate Deep Network Learning by "
            "Exponential Linear Units (ELUs), ICLR 2016, arXiv:1511.07289"
        ),
        torch="torch.nn.functional.elu",
        module="ELU",
        inplace=True,
    ),
    Entry(
        name="celu",
        formula="where(x > 0, x, alpha*(exp(x/alpha) - 1))",
        parameters={"alpha": 1.0},
        valid=(("alpha", "!=", 0),),
        summary="exponential linear unit, continuously differentiable for every alpha",
        reference=(
            "Barron: Continuously Differentiable Exponential Linear Units, 2017, arXiv:1704.07483"
        ),
        torch="torch.nn.functional.celu",
        module="CELU",
        inplace=True,
    ),
    Entry(
        name="selu",
        # The constants solve the fixed-point equations of the paper for mean 0 and variance 1:
        # alpha = -sqrt(2/pi) / (erfc(1/sqrt(2))*exp(1/2) - 1), and the scale follows from it.
        formula=(
            "1.0507009873554804934193349852946 * "
            "where(x > 0, x, 1.6732632423543772848170429916717*(exp(x) - 1))"
        ),
        summary="exponential linear unit whose two constants keep mean 0 and variance 1",
        reference=(
            "Klambauer, Unterthiner, Mayr, Hochreiter: Self-Normalizing Neural Networks, "
            "NIPS 2017, arXiv:1706.02515"
        ),
        torch="torch.nn.functional.selu",
        module="SELU",
        inplace=True,
    ),
    Entry(
        name="gelu",
        formula="x/2 * (1 + erf(x/sqrt(2)))",
        summary="the input times the standard normal distribution function of it",
        reference=_GELU,
        torch="torch.nn.functional.gelu",
        module="GELU",
        convention=conventions.gelu,
        variants=("gelu_tanh",),
    ),
    Entry(
        name="gelu_tanh",
        formula="x/2 * (1 + tanh(sqrt(2/pi)*(x + 0.044715*x**3)))",
        summary="GELU with the distribution function approximated by a hyperbolic tangent",
        reference=_GELU,
        torch="torch.nn.functional.gelu",
        torch_arguments={"approximate": "tanh"},
    ),
    Entry(
        name="silu",
        formula="x/(1 + exp(-x))",
        summary="sigmoid linear unit: the input times its sigmoid",
        reference=(
            "Elfwing, Uchibe, Doya: Sigmoid-Weighted Linear Units for Neural Network Function "
            "Approximation in Reinforcement Learning, 2017, arXiv:1702.03118; as Swish: "
            "Ramachandran, Zoph, Le: Searching for Activation Functions, 2017, arXiv:1710.05941"
        ),
        aliases=("swish",),
        torch="torch.nn.functional.silu",
        module="SiLU",
        inplace=True,
    ),
    Entry(
        name="mish",
        formula="x * tanh(log(1 + exp(x)))",
        summary="the input times the hyperbolic tangent of its softplus",
        reference=(
            "Misra: Mish: A Self Regularized Non-Monotonic Activation Function, BMVC 2020, "
            "arXiv:1908.08681"
        ),
        torch="torch.nn.functional.mish",
        module="Mish",
        inplace=True,
    ),
)
