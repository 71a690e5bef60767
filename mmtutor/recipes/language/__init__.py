"""Language models: `gpt`, some that see (`vlm`, `pictures`), one that is taught (`preferences`)."""
