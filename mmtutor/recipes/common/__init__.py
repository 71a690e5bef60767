"""What all recipes share: settings, training, results.

A recipe's `Config(TrainConfig)` is decorated with `settings`; `train(config, model, objective,
data)` is the package's only call of `fit`; `run(config)` returns a `Result`.
"""

from mmtutor.recipes.common.config import TEST_SEED_OFFSET, TrainConfig, settings
from mmtutor.recipes.common.controls import shuffle_column
from mmtutor.recipes.common.result import Result
from mmtutor.recipes.common.training import train
