"""Training: the loop that the reader knows, the same loop for real runs, and its checkpoints."""

from mmtutor.training.adapters import add_lora, merge_lora
from mmtutor.training.checkpoint import load_model, save_model
from mmtutor.training.chunks import InChunks
from mmtutor.training.fit import fit
from mmtutor.training.history import History
from mmtutor.training.loop import train
