"""Recipes of retrieval."""
