"""Shrinkage: odd functions that pull the input towards zero."""

from __future__ import annotations

from gradsmith.catalogue.record import Entry

_WAVELET_SHRINKAGE = (
    "Donoho, Johnstone: Ideal Spatial Adaptation by Wavelet Shrinkage, Biometrika 81(3), 1994"
)

ENTRIES = (
    Entry(
        name="hardshrink",
        formula="where(x >= -lambd and x <= lambd, 0, x)",
        parameters={"lambd": 0.5},
        summary="zero up to a distance from zero, the input beyond",
        reference=_WAVELET_SHRINKAGE,
        aliases=("hard_shrink",),
        torch="torch.nn.functional.hardshrink",
        module="Hardshrink",
    ),
    Entry(
        name="softshrink",
        # The last branch is the one that NaN falls through to.
        formula="where(x < -lambd, x + lambd, where(x <= lambd, 0, x - lambd))",
        parameters={"lambd": 0.5},
        valid=(("lambd", ">=", 0),),
        summary="the input moved towards zero by a fixed distance, zero where that would cross it",
        reference=_WAVELET_SHRINKAGE,
        aliases=("soft_shrink",),
        torch="torch.nn.functional.softshrink",
        module="Softshrink",
    ),
    Entry(
        name="tanhshrink",
        formula="x - tanh(x)",
        summary="what the hyperbolic tangent leaves of the input",
        reference="PyTorch documentation, torch.nn.Tanhshrink",
        aliases=("tanh_shrink",),
        torch="torch.nn.functional.tanhshrink",
        module="Tanhshrink",
    ),
)
