"""The training loop that every reader of PyTorch knows, whole.

Knows forward, loss, backward and step, in this order, and nothing else. `fit` does the same, bit
for bit on a CPU, and adds what a long run needs.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from mmtutor.training.arguments import refuses_bad_input

Objective = Callable[[tuple[Tensor, ...], dict[str, Tensor]], Tensor]


@refuses_bad_input
def train(
    model: nn.Module,
    objective: nn.Module | Objective,
    loader: Iterable[dict[str, Tensor]],
    optimizer: torch.optim.Optimizer,
    epochs: int = 1,
) -> list[float]:
    """Minimise `objective(model(batch), batch)`; leaves the model in eval mode.

    Args:
        objective: from the model's output and the batch to a scalar.
        loader: batches, all of which are passed through once an epoch.
        optimizer: holds what is trained, parameters of the objective included.

    Returns:
        The loss of every batch, in order.

    Raises:
        TypeError, ValueError: an optimiser of another model or objective, an objective that returns
            no scalar, a loader without batches, or no epoch.
    """
    losses = []
    model.train()
    for _ in range(epochs):
        for batch in loader:
            output = model(batch)
            loss = objective(output, batch)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
    model.eval()
    return losses
