"""Real data that package managers bring."""
