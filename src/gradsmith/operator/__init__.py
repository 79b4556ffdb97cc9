"""Expressions become differentiable PyTorch operations and modules."""

from __future__ import annotations
