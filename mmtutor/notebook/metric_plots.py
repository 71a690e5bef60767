"""Pictures of metrics: curves over thresholds, and reliability diagrams.

Knows finished curves and tables; computes no metric. Matplotlib is imported where it is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from mmtutor.evaluation.classification.calibration import Reliability
from mmtutor.evaluation.classification.roc import PrecisionRecallCurve, RocCurve

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def roc_and_precision(
    rocs: Mapping[str, RocCurve], precisions: Mapping[str, PrecisionRecallCurve]
) -> Figure:
    """ROC curves on the left, precision against recall on the right, one colour a name."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.6), layout="constrained")
    for name, curve in rocs.items():
        left.plot(curve.false_positive_rate, curve.true_positive_rate, label=name)
    left.plot([0, 1], [0, 1], color="0.5", linestyle=":")
    left.set(xlabel="false positive rate", ylabel="true positive rate (recall)")
    for name, curve in precisions.items():
        right.step(curve.recall, curve.precision, where="pre", label=name)
    right.set(xlabel="recall", ylabel="precision", ylim=(-0.03, 1.03))
    left.legend(fontsize="small")
    plt.close(figure)
    return figure


def reliability_diagram(tables: Mapping[str, Reliability]) -> Figure:
    """A panel for each table: accuracy over confidence; the area of a dot is the bin's count."""
    import matplotlib.pyplot as plt

    shape = (3.4 * len(tables), 3.4)
    figure, axes = plt.subplots(1, len(tables), figsize=shape, squeeze=False, layout="constrained")
    for axis, (name, table) in zip(axes[0], tables.items(), strict=True):
        kept = table.count > 0
        share = table.count[kept] / table.count.sum()
        axis.plot([0, 1], [0, 1], color="0.5", linestyle=":")
        axis.plot(table.confidence[kept], table.accuracy[kept], color="C0", linewidth=1)
        axis.scatter(table.confidence[kept], table.accuracy[kept], s=8 + 400 * share, alpha=0.6)
        axis.set(title=name, xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    plt.close(figure)
    return figure


def over_sizes(
    sizes: Sequence[int], curves: Mapping[str, Tensor], ylabel: str, bands: Sequence[str] = ()
) -> Figure:
    """Means over repetitions, by number of examples: each curve (len(sizes), R).

    Curves named in `bands` also show the middle 95 % of their repetitions.
    """
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(6, 3.2), layout="constrained")
    for name, values in curves.items():
        (line,) = axis.plot(sizes, values.mean(1), "o-", label=name)
        if name in bands:
            low, high = values.quantile(0.025, dim=1), values.quantile(0.975, dim=1)
            axis.fill_between(sizes, low, high, alpha=0.2, color=line.get_color())
    axis.axhline(0, color="0.5", linewidth=1)
    axis.set(xlabel="examples", ylabel=ylabel, xscale="log")
    axis.legend(fontsize="small")
    plt.close(figure)
    return figure
