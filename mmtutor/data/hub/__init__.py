"""Hub scale: Flickr30k, VQAv2 and what a checkpoint wants its pictures and texts to be."""

from mmtutor.data.hub.preprocess import say_if_unreachable
