"""Generated data other than `shapes`: bits, stick figures, textures, text tasks."""
