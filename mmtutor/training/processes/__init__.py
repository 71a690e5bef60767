"""What is divided among the processes of a run: its batches, and its weights."""
