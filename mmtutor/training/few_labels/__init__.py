"""What to do with a few labels and many examples: guess labels, ask for some, or know a rule."""

from mmtutor.training.few_labels.active import k_centre, uncertainty
from mmtutor.training.few_labels.knowledge import rule_loss, shared_word_graph, spread_labels
from mmtutor.training.few_labels.pseudo_labels import Cutout, FixMatch, TwoViews, pseudo_labels
