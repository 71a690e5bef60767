"""Training: the one loop in the package that calls `backward`, and its checkpoints."""

from mmtutor.training.checkpoint import load_model, save_model
from mmtutor.training.fit import fit
from mmtutor.training.history import History
