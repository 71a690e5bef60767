"""How sure a number is: intervals, agreement, preferences and information."""

from mmtutor.evaluation.statistics.agreement import kendall_tau
from mmtutor.evaluation.statistics.differential import largest_differences, random_case
from mmtutor.evaluation.statistics.information import (
    decompose,
    invisible_to_sums,
    mutual_information,
)
from mmtutor.evaluation.statistics.intervals import Interval
from mmtutor.evaluation.statistics.preferences import bradley_terry, simulate, strengths
from mmtutor.evaluation.statistics.resampling import auroc_interval, f1_interval, resampled_interval
from mmtutor.evaluation.statistics.seeds import paired_interval
