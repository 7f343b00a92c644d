"""Presets of the planner as JSON files."""
