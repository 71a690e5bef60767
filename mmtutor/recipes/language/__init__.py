"""Language models: `gpt`."""
