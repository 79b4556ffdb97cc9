"""What a reader gets to see of an activation: pictures, source, reports."""

from __future__ import annotations
