"""Expressions become code that runs on a machine."""

from __future__ import annotations
