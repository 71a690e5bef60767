"""Recipes of the chapters on encoders."""
