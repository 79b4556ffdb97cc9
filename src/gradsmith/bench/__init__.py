"""How fast an activation is, and how much it keeps, beside what its user would otherwise run."""

from __future__ import annotations
