"""Recipes of robustness and fairness."""
