"""How sure a number is: intervals, agreement, preferences and information."""

from mmtutor.evaluation.statistics.bootstrap import (
    Interval,
    bootstrap_draws,
    bootstrap_statistic,
    bootstrap_weights,
    by_group,
)
from mmtutor.evaluation.statistics.differential import largest_differences, random_case
from mmtutor.evaluation.statistics.information import (
    decompose,
    invisible_to_sums,
    mutual_information,
)
from mmtutor.evaluation.statistics.paired import kendall_tau, paired_interval
from mmtutor.evaluation.statistics.preferences import bradley_terry, simulate, strengths
