"""Why some of torch's functions have no place in a formula, by name."""

from __future__ import annotations

POINTWISE = "and an activation acts on each element by itself"
DRAWS = "draws random numbers, and a formula has one value for one input"
CUT = "cuts the graph, and a formula's derivative is that of the whole formula"
NO_PROPERTIES = (
    "asks for what a formula has none of: shape, dtype, device; write plain numbers for "
    "constants, and leave conversions out: float16 and bfloat16 are computed in float32"
)

_REASONS = {
    f"combines elements, {POINTWISE}": (
        "sum mean prod std var median mode norm amax amin argmax argmin all any softmax softmin "
        "log_softmax logsumexp cumsum cumprod cummax cummin normalize layer_norm group_norm "
        "batch_norm instance_norm rms_norm sort topk matmul mm bmm mv dot einsum linear bilinear "
        "conv1d conv2d conv3d baddbmm addmm tensordot outer cdist cosine_similarity"
    ),
    f"depends on the shape, {POINTWISE}; give parts of a tensor as inputs f(a, b)": (
        "reshape view flatten unflatten squeeze unsqueeze transpose permute t chunk split "
        "tensor_split unbind cat stack concat expand repeat size dim numel narrow select "
        "index_select gather scatter roll flip pad unfold movedim swapaxes ndimension"
    ),
    DRAWS: (
        "rand_like randn_like randint_like bernoulli normal poisson multinomial gumbel_softmax "
        "dropout1d dropout2d dropout3d feature_alpha_dropout"
    ),
    CUT: "detach",
    "needs a value, which a traced tensor has none of; keep to tensors": (
        "item tolist numpy cpu cuda backward allclose equal is_nonzero"
    ),
    "rounds, which no formula of the vocabulary expresses": (
        "round floor ceil trunc fix frac fmod remainder floor_divide half bfloat16 int long short"
    ),
}
REASON_OF = {name: reason for reason, names in _REASONS.items() for name in names.split()}
