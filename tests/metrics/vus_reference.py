# SPDX-License-Identifier: MIT
"""The six steps of VUS as slow, obvious loops: the oracle for the fast code."""

from math import nan, sqrt

import numpy as np


def find_events(y_true):
    """First and last row of each event."""
    events = []
    for row, label in enumerate(y_true):
        if label and (row == 0 or not y_true[row - 1]):
            events.append([row, row])
        elif label:
            events[-1][1] = row
    return events


def soft_labels(y_true, length):
    """Step 1."""
    soft = np.array(y_true, dtype=float)
    for first, last in find_events(y_true):
        for k in range(1, length // 2 + 1):
            for row in (first - k, last + k):
                if 0 <= row < len(soft):
                    soft[row] += sqrt(1 - k / length)
    return np.minimum(soft, 1)


def find_zones(y_true, length):
    """Step 2."""
    zones = []
    for first, last in find_events(y_true):
        first = max(first - length // 2, 0)
        last = min(last + length // 2, len(y_true) - 1)
        if zones and first <= zones[-1][1]:
            zones[-1][1] = last
        else:
            zones.append([first, last])
    return zones


def range_areas(y_true, y_score, length, n_thresholds=250):
    """Areas under the PR and the ROC curve for one buffer length: steps 1 to 5."""
    y_true, y_score = np.asarray(y_true).astype(bool), np.asarray(y_score)
    n, n_anomalous = len(y_true), y_true.sum()
    if n_anomalous == 0:
        return nan, nan
    soft, zones = soft_labels(y_true, length), find_zones(y_true, length)
    positions = np.linspace(0, n - 1, n_thresholds or n).astype(int)
    pr = roc = last_recall = last_fpr = 0.0
    for threshold in np.sort(y_score)[::-1][positions]:
        flagged = y_score >= threshold
        true_positives = soft[flagged].sum()
        positives = n_anomalous + soft[flagged & ~y_true].sum() / 2
        found = sum(flagged[first : last + 1].any() for first, last in zones)
        recall = min(true_positives / positives, 1) * found / len(zones)
        pr += (recall - last_recall) * true_positives / flagged.sum()
        if n_anomalous < n:
            fpr = (flagged.sum() - true_positives) / (n - positives)
            roc += (fpr - last_fpr) * (recall + last_recall) / 2
            last_fpr = fpr
        last_recall = recall
    roc += (1 - last_fpr) * (1 + last_recall) / 2
    return pr, roc if n_anomalous < n else nan


def volumes(y_true, y_score, window, n_thresholds=250):
    """VUS-PR and VUS-ROC: step 6."""
    slices = [
        range_areas(y_true, y_score, length, n_thresholds)
        for length in range(window + 1)
    ]
    pr, roc = (sum(areas) / len(areas) for areas in zip(*slices, strict=True))
    return pr, roc
