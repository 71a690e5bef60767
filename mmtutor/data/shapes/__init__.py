"""Scenes of coloured shapes with exact truth: pictures, captions, sounds, motion and questions."""

from mmtutor.data.shapes.captions import chinese, english
from mmtutor.data.shapes.dataset import load, scenes, sounds
from mmtutor.data.shapes.facts import fact_score, facts_of, facts_said
from mmtutor.data.shapes.motion import MOTIONS, OPPOSITE, paths
from mmtutor.data.shapes.render import PALETTE
from mmtutor.data.shapes.scene import COLOURS, POSITIONS, SHAPES, SIZES, Scene, exchange_colours
from mmtutor.data.shapes.variants import variants, wordings
