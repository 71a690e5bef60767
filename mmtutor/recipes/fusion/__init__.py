"""Recipes of the fusion chapter."""
