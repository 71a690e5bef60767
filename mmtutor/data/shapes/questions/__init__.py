"""Questions about scenes of `shapes`, with answers that are exact."""

from mmtutor.data.shapes.questions.dataset import load, pairs, questions
from mmtutor.data.shapes.questions.forms import ANSWERS, TYPES
