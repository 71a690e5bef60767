"""Language models: `gpt`, and one that sees, `vlm`."""
