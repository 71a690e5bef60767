"""A model run over a large batch one chunk at a time, for a loss that needs the whole of it.

Knows models and batches; knows nothing of losses or of how they are minimised.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.checkpoint import checkpoint

from mmtutor import checks


class InChunks(nn.Module):
    """`model` over a few examples at a time: its output and gradients, with less held in between.

    Accumulating gradients over small batches would leave a contrastive loss with the negatives of
    each small batch. Cached representations do not (GradCache, Gao et al. 2021, sec. 3.2): the
    batch is encoded chunk by chunk, of which only the output is kept; the loss sees all outputs;
    and from its gradient each chunk in turn is encoded once more, by the same random numbers, and
    goes back through the model. It costs a second forward pass, but of the last chunk, whose turn
    comes at once, and holds one chunk's activations.

    It is a model like any other: `fit(InChunks(model, 32), objective, loader, ...)`.

    Args:
        model: from a batch to tensors with one row an example, which depends on that example alone.
        chunk: examples at a time.

    Raises:
        ValueError: at a call, for a model that normalises over its batch or whose output has
            another number of rows.
    """

    def __init__(self, model: nn.Module, chunk: int) -> None:
        super().__init__()
        checks.instance(nn.Module, model=model)
        checks.at_least(1, chunk=chunk)
        self.model, self.chunk = model, chunk

    def forward(self, batch: Mapping[str, Tensor]) -> Any:
        """What `model` returns of the whole batch."""
        checks.instance(Mapping, batch=batch)
        checks.same_length(batch=batch)
        rows = checks.same_length(**{f"batch[{key!r}]": x for key, x in batch.items()})
        self._check_model()
        outputs = []
        for start in range(0, rows, self.chunk):
            part = {key: column[start : start + self.chunk] for key, column in batch.items()}
            if start + self.chunk < rows:
                outputs.append(checkpoint(self.model, part, use_reentrant=False))
            else:  # the last goes back first: its activations may stay
                outputs.append(self.model(part))
            _check_rows(outputs[-1], min(self.chunk, rows - start))
        return tree_map(lambda *parts: torch.cat(parts), *outputs)

    def _check_model(self) -> None:
        for name, module in self.model.named_modules():
            if isinstance(module, _BatchNorm) and module.training:
                raise ValueError(
                    f"model must see each example alone, got batch normalisation in {name!r}; "
                    "in chunks it would see another batch"
                )


def _check_rows(output: Any, rows: int) -> None:
    for x in tree_leaves(output):
        if not isinstance(x, Tensor) or x.shape[:1] != (rows,):
            came = f"shape {tuple(x.shape)}" if isinstance(x, Tensor) else checks.shortened(x)
            expected = f"tensors of {rows} rows, one an example"
            raise ValueError(f"model must return {expected}, got {came}")
