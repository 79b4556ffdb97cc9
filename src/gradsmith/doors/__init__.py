"""Doors to other people's code: models that exist, and what their libraries take."""
