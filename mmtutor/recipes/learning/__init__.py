"""Learning without labels, with few labels, and from other tasks."""
