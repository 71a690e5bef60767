"""Language models: `gpt`, one that sees, `vlm`, and one that is taught, `preferences`."""
