"""Recipes of visual question answering."""
