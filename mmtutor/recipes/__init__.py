"""Whole experiments: a recipe has a frozen `Config` with presets, and `run(config) -> Result`."""
