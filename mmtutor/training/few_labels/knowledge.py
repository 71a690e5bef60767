"""What is known beforehand, told to a model: a rule as a loss, and a graph that spreads labels.

Knows tables of what may be so together, and weighted graphs; does not know what they are about.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mmtutor import checks
from mmtutor.losses.classification import log_softmax


def rule_loss(logits: Sequence[Tensor], allowed: Tensor) -> Tensor:
    """-log of the probability that a rule holds, in nats, mean over a batch: a scalar.

    The semantic loss of Xu et al. (2018, definition 1): the answers are drawn independently, each
    from its own softmax, and the probability of all combinations that the rule allows is added up.

    Args:
        logits: of K answers, each (B, C_k) floating point.
        allowed: (C_1, ..., C_K) bool: the combinations that the rule allows, at least one.
    """
    logits = checks.listed(Tensor, logits=logits)
    checks.same_length(logits=logits)
    allowed = checks.as_mask(allowed=allowed)
    for k, each in enumerate(logits):
        checks.shaped(**{"logits[0]": (logits[0], "B _"), f"logits[{k}]": (each, "B C")})
    sizes = tuple(each.shape[1] for each in logits)
    if tuple(allowed.shape) != sizes or not allowed.any():
        raise ValueError(
            f"allowed must be of shape {sizes}, True somewhere, got {tuple(allowed.shape)}"
        )
    joint = log_softmax(logits[0])  # [B, combinations of the answers so far]
    for each in logits[1:]:
        joint = (joint[:, :, None] + log_softmax(each)[:, None]).flatten(1)
    return -joint[:, allowed.flatten()].logsumexp(dim=1).mean()


def shared_word_graph(words: Sequence[Sequence[str]]) -> Tensor:
    """Weights (N, N) float32 of a graph whose nodes are tied by the words they share.

    A word of n of the N nodes adds log(N / n) to the weight of any two of them: what few share says
    more. Symmetric, 0 on the diagonal. A word that only one node has ties nothing.

    Args:
        words: of each node a list of words, perhaps empty; one that stands twice counts once.
    """
    checks.same_length(words=words)
    owners: Mapping[str, list[int]] = defaultdict(list)
    for node, said in enumerate(words):
        for word in sorted(set(checks.listed(str, **{f"words[{node}]": said}))):
            owners[word].append(node)
    graph = torch.zeros(len(words), len(words))
    for nodes in owners.values():
        rows = torch.tensor(nodes)
        graph[rows[:, None], rows] += math.log(len(words) / len(nodes))
    return graph.fill_diagonal_(0)


def spread_labels(graph: Tensor, start: Tensor, alpha: float = 0.9) -> Tensor:
    """Scores (N, C) float64 after labels have spread over a graph (Zhou et al. 2004, section 2).

    The limit of F <- alpha S F + (1 - alpha) `start`, with S = D^(-1/2) W D^(-1/2) of the weights W
    and their row sums D, found by solving (I - alpha S) F = (1 - alpha) `start`.

    Args:
        graph: (N, N) finite weights of at least 0, symmetric; a node without a neighbour keeps its
            start, times 1 - alpha.
        start: (N, C) finite: what is known of each node, such as one-hot labels, 0 where nothing.
        alpha: in [0, 1), how much a node listens to its neighbours.
    """
    checks.shaped(graph=(graph, "N N"), start=(start, "N C"))
    checks.finite(graph=graph, start=start)
    checks.within("[0, inf)", graph=graph)
    checks.within("[0, 1)", alpha=alpha)
    graph, start = graph.double(), start.double()
    if not torch.allclose(graph, graph.T):
        raise ValueError("graph must be symmetric, got weights that differ in the two directions")
    size = graph.sum(dim=1).sqrt().clamp(min=1e-12)
    step = graph / size[:, None] / size
    system = torch.eye(len(graph), dtype=torch.float64) - alpha * step
    return torch.linalg.solve(system, (1 - alpha) * start)
