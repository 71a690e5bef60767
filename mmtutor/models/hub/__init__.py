"""Adapters from `transformers` checkpoints to the book's models."""

from mmtutor.models.hub.vqa import PROMPT, HubVqa, short
