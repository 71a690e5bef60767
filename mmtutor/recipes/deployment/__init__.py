"""Recipes of the chapters on deployment."""
