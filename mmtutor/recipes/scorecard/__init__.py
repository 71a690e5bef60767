"""Recipes of the scorecard."""
