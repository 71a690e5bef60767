"""Adapters from `transformers` checkpoints to the book's models."""

from mmtutor.models.hub.smollm2 import load_smollm2
from mmtutor.models.hub.vqa import PROMPT, HubVqa, short
