"""Whether it is right: comparisons, and the exact values that decide them."""

from __future__ import annotations
