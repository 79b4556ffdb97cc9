"""DTensors: how results are placed, what they look like, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from torch.distributed.tensor import Replicate, Shard

from tests.citizen.team import team
from tests.operator import shards

R, ROWS, COLUMNS = Replicate(), Shard(0), Shard(1)


@pytest.mark.parametrize(
    ("shapes", "placements", "expected"),
    [
        # What needs no communication is done without.
        (((5, 4), (5, 4)), ((ROWS,), (ROWS,)), (ROWS,)),
        (((5, 4), (5, 4)), ((ROWS,), (R,)), (ROWS,)),
        (((5, 4), (4,)), ((COLUMNS,), (ROWS,)), (COLUMNS,)),
        (((4,), (5, 4)), ((ROWS,), (R,)), (COLUMNS,)),
        # The larger one stays where it is.
        (((4, 4), (4,)), ((ROWS,), (ROWS,)), (ROWS,)),
        (((4,), (4, 4)), ((ROWS,), (ROWS,)), (ROWS,)),
        # A dimension of one element that is sharded is no sharding of what it is broadcast to.
        (((1, 4), (5, 4)), ((ROWS,), (R,)), (R,)),
        (((1, 4), (5, 4)), ((ROWS,), (COLUMNS,)), (COLUMNS,)),
        # Two dimensions of the mesh.
        (((5, 4), (5, 4)), ((ROWS, R), (R, COLUMNS)), (ROWS, COLUMNS)),
        (((5, 4), (5, 4)), ((ROWS, R), (R, ROWS)), (ROWS, R)),
        (((6, 4), (6, 4)), ((ROWS, ROWS), (R, COLUMNS)), (ROWS, ROWS)),
    ],
)
def test_the_result_lies_as_what_is_sharded_most(
    shapes: Any, placements: Any, expected: Any
) -> None:
    assert team().run(shards.together, shapes, placements) == [expected, expected]


def test_the_layout_in_memory_is_kept() -> None:
    team().run(shards.channels_last)


def test_native_code_computes_each_shard() -> None:
    team().run(shards.native_code_computes)


def test_operands_that_do_not_go_together_are_refused() -> None:
    errors, same = team().run(shards.refusals)
    assert errors == same
    parts = (
        "TypeError: x is a DTensor and beta a plain tensor of shape () that requires a gradient",
        "TypeError: u is a DTensor and v a plain tensor of shape (4, 3); make it a DTensor",
        "ValueError: the operands are distributed over different device meshes: u on",
        "ValueError: these shapes do not broadcast: u (4, 3), v (4, 2)",
    )
    assert len(errors) == len(parts)
    for error, part in zip(errors, parts, strict=True):
        assert error.startswith(part)
