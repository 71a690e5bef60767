"""Recipes of the chapter on joint learning."""
