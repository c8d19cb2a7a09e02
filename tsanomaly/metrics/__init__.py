# SPDX-License-Identifier: MIT
"""Metrics of anomaly detection. Labels are 1 for anomalies; higher scores = worse."""

from tsanomaly.metrics._affiliation import affiliation_precision_recall_fscore
from tsanomaly.metrics._alarm_report import alarm_report
from tsanomaly.metrics._alarms import (
    channel_hit_rate,
    detection_delay,
    false_alarms_per_day,
)
from tsanomaly.metrics._care import care_score
from tsanomaly.metrics._nab_score import nab_score
from tsanomaly.metrics._range import (
    event_precision_recall_fscore,
    point_adjusted_f1,
    range_precision_recall_fscore,
)
from tsanomaly.metrics._scorer import make_anomaly_scorer
from tsanomaly.metrics._vus import range_auc, vus_pr, vus_roc

__all__ = [
    "affiliation_precision_recall_fscore",
    "alarm_report",
    "care_score",
    "channel_hit_rate",
    "detection_delay",
    "event_precision_recall_fscore",
    "false_alarms_per_day",
    "make_anomaly_scorer",
    "nab_score",
    "point_adjusted_f1",
    "range_auc",
    "range_precision_recall_fscore",
    "vus_pr",
    "vus_roc",
]
