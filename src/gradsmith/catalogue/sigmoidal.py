"""S-shaped functions, bounded on both sides, and the sigmoid's logarithm."""

from __future__ import annotations

from gradsmith.catalogue.record import Entry

ENTRIES = (
    Entry(
        name="sigmoid",
        formula="1/(1 + exp(-x))",
        summary="logistic sigmoid, from 0 to 1",
        reference=(
            "Rumelhart, Hinton, Williams: Learning Representations by Back-Propagating Errors, "
            "Nature 323, 1986"
        ),
        aliases=("logistic", "expit"),
        torch="torch.nn.functional.sigmoid",
        module="Sigmoid",
    ),
    Entry(
        name="logsigmoid",
        formula="log(1/(1 + exp(-x)))",
        summary="logarithm of the logistic sigmoid",
        reference="PyTorch documentation, torch.nn.LogSigmoid",
        aliases=("log_sigmoid",),
        torch="torch.nn.functional.logsigmoid",
        module="LogSigmoid",
    ),
    Entry(
        name="tanh",
        formula="tanh(x)",
        summary="hyperbolic tangent, from -1 to 1",
        reference=(
            "LeCun, Bottou, Orr, Müller: Efficient BackProp, in Neural Networks: Tricks of the "
            "Trade, Springer 1998"
        ),
        torch="torch.nn.functional.tanh",
        module="Tanh",
    ),
    Entry(
        name="softsign",
        formula="x/(1 + abs(x))",
        summary="from -1 to 1, with tails that end slowly",
        reference=(
            "Glorot, Bengio: Understanding the Difficulty of Training Deep Feedforward Neural "
            "Networks, AISTATS 2010"
        ),
        aliases=("soft_sign",),
        torch="torch.nn.functional.softsign",
        module="Softsign",
    ),
)
