"""Linear on pieces: the rectifier and its relatives.

At a kink the derivative is PyTorch's, through the side that carries the equality sign; and NaN, for
which every comparison is false, falls through to a branch that depends on the input.
"""

from __future__ import annotations

from gradsmith.catalogue import conventions
from gradsmith.catalogue.record import Entry

_MOBILENET_V3 = (
    "Howard, Sandler, Chu, Chen, Chen, Tan, Wang, Zhu, Pang, Vasudevan, Le, Adam: Searching for "
    "MobileNetV3, ICCV 2019, arXiv:1905.02244"
)

ENTRIES = (
    Entry(
        name="threshold",
        formula="where(x <= threshold, value, x)",
        # PyTorch has no defaults; these make it the rectifier.
        parameters={"threshold": 0.0, "value": 0.0},
        summary="the input above a threshold, a constant below",
        reference="PyTorch documentation, torch.nn.Threshold",
        torch="torch.nn.functional.threshold",
        module="Threshold",
        inplace=True,
    ),
    Entry(
        name="relu",
        formula="where(x <= 0, 0, x)",
        summary="rectified linear unit",
        reference=(
            "Nair, Hinton: Rectified Linear Units Improve Restricted Boltzmann Machines, ICML 2010"
        ),
        torch="torch.nn.functional.relu",
        module="ReLU",
        inplace=True,
    ),
    Entry(
        name="leaky_relu",
        formula="where(x > 0, x, negative_slope*x)",
        parameters={"negative_slope": 0.01},
        summary="rectified linear unit with a small slope on the negative side",
        reference=(
            "Maas, Hannun, Ng: Rectifier Nonlinearities Improve Neural Network Acoustic Models, "
            "ICML 2013 Workshop on Deep Learning for Audio, Speech and Language Processing"
        ),
        torch="torch.nn.functional.leaky_relu",
        module="LeakyReLU",
        inplace=True,
    ),
    Entry(
        name="prelu",
        formula="where(x > 0, x, weight*x)",
        parameters={"weight": 0.25},
        summary="rectified linear unit that learns its slope on the negative side, per channel",
        reference=(
            "He, Zhang, Ren, Sun: Delving Deep into Rectifiers: Surpassing Human-Level Performance "
            "on ImageNet Classification, ICCV 2015, arXiv:1502.01852"
        ),
        torch="torch.nn.functional.prelu",
        module="PReLU",
        convention=conventions.prelu,
    ),
    Entry(
        name="rrelu",
        formula="where(x > 0, x, slope*x)",
        # The mean of PyTorch's bounds 1/8 and 1/3, which it uses outside of training.
        parameters={"slope": (1 / 8 + 1 / 3) / 2},
        valid=(("lower", "<=", "upper"),),
        summary="rectified linear unit with a random slope on the negative side while training",
        reference=(
            "Xu, Wang, Chen, Li: Empirical Evaluation of Rectified Activations in Convolutional "
            "Network, 2015, arXiv:1505.00853"
        ),
        torch="torch.nn.functional.rrelu",
        module="RReLU",
        inplace=True,
        convention=conventions.rrelu,
    ),
    Entry(
        name="relu6",
        formula="where(x <= 0, 0, where(x >= 6, 6, x))",
        summary="rectified linear unit that ends at 6",
        reference=(
            "Krizhevsky: Convolutional Deep Belief Networks on CIFAR-10, unpublished manuscript, "
            "2010"
        ),
        torch="torch.nn.functional.relu6",
        module="ReLU6",
        inplace=True,
    ),
    Entry(
        name="hardtanh",
        formula="where(x <= min_val, min_val, where(x >= max_val, max_val, x))",
        parameters={"min_val": -1.0, "max_val": 1.0},
        valid=(("min_val", "<=", "max_val"),),
        summary="the input between two bounds, the nearer bound outside",
        reference=(
            "Collobert, Weston, Bottou, Karlen, Kavukcuoglu, Kuksa: Natural Language Processing "
            "(Almost) from Scratch, JMLR 12, 2011, arXiv:1103.0398"
        ),
        aliases=("hard_tanh",),
        torch="torch.nn.functional.hardtanh",
        module="Hardtanh",
        inplace=True,
    ),
    Entry(
        name="hardsigmoid",
        formula="where(x <= -3, 0, where(x >= 3, 1, (x + 3)/6))",
        summary="the sigmoid in three straight pieces",
        reference=_MOBILENET_V3,
        aliases=("hard_sigmoid",),
        torch="torch.nn.functional.hardsigmoid",
        module="Hardsigmoid",
        inplace=True,
    ),
    Entry(
        name="hardswish",
        formula="where(x <= -3, 0, where(x >= 3, x, x*(x + 3)/6))",
        summary="the input times its hard sigmoid",
        reference=_MOBILENET_V3,
        aliases=("hard_swish", "hard_silu"),
        torch="torch.nn.functional.hardswish",
        module="Hardswish",
        inplace=True,
    ),
)
