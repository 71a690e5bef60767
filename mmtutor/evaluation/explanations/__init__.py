"""How good an explanation is."""

from mmtutor.evaluation.explanations.quality import (
    centre_maps,
    deletion_insertion,
    edge_maps,
    energy_inside,
    pointing_game,
    random_maps,
    rank_correlation,
    sanity_check,
)
