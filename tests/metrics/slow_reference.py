# SPDX-License-Identifier: MIT
"""Slow, obvious loops for metrics of labels, and labels to test them on."""

import math
from itertools import permutations

import numpy as np
from hypothesis import strategies as st


@st.composite
def label_pairs(draw, max_rows=24):
    """Ground truth and predictions, with runs of all lengths, often at the ends."""
    n_rows = draw(st.integers(1, max_rows))

    def labels():
        if draw(st.booleans()):
            return draw(st.lists(st.integers(0, 1), min_size=n_rows, max_size=n_rows))
        lengths = draw(st.lists(st.integers(1, 8), min_size=n_rows, max_size=n_rows))
        first = draw(st.integers(0, 1))
        rows = []
        for i, length in enumerate(lengths):
            rows += [(first + i) % 2] * length
        return rows[:n_rows]

    return np.array(labels()), np.array(labels())


def events(y):
    """Lists of the rows of each event."""
    found = []
    for row, flag in enumerate(y):
        if flag:
            if row and y[row - 1]:
                found[-1].append(row)
            else:
                found.append([row])
    return found


def f_score(precision, recall, beta):
    """Weighted harmonic mean."""
    if not precision or not recall:
        return 0.0
    return (1 + beta**2) / (1 / precision + beta**2 / recall)


def range_precision_recall(y_true, y_pred, alpha, cardinality, bias):
    """Range-based precision and recall."""
    weight = {
        "flat": lambda i, length: 1,
        "front": lambda i, length: length - i + 1,
        "back": lambda i, length: i,
        "middle": lambda i, length: i if i <= length / 2 else length - i + 1,
    }[bias]

    def mean_reward(targets, others, alpha):
        rewards = []
        for target in targets:
            total = hit = 0
            for i, row in enumerate(target, start=1):
                total += weight(i, len(target))
                hit += weight(i, len(target)) * any(row in other for other in others)
            x = sum(bool(set(target) & set(other)) for other in others)
            gamma = 1 if x <= 1 or cardinality == "one" else 1 / x
            rewards.append(alpha * (x >= 1) + (1 - alpha) * gamma * hit / total)
        return np.mean(rewards) if rewards else 0.0

    true, predicted = events(y_true), events(y_pred)
    return mean_reward(predicted, true, 0), mean_reward(true, predicted, alpha)


def event_precision_recall(y_true, y_pred, counting):
    """Event-wise precision and recall."""
    found = sum(any(y_pred[row] for row in event) for event in events(y_true))
    if counting == "segments":
        right = found
        wrong = sum(not any(y_true[row] for row in alarm) for alarm in events(y_pred))
    else:
        right = sum(t and p for t, p in zip(y_true, y_pred, strict=True))
        wrong = sum(p and not t for t, p in zip(y_true, y_pred, strict=True))
    precision = right / (right + wrong) if right + wrong else 0.0
    recall = found / len(events(y_true)) if any(y_true) else 0.0
    return precision, recall


def point_adjusted(y_true, y_pred):
    """Predictions after point adjustment."""
    adjusted = list(y_pred)
    for event in events(y_true):
        if any(y_pred[row] for row in event):
            for row in event:
                adjusted[row] = 1
    return np.array(adjusted)


def affiliation(y_true, y_pred):
    """Affiliation precision and recall of each event.

    All corners of the integrands are at quarters of rows, so the value in the middle of
    a quarter is its mean.
    """
    n_rows = len(y_true)
    true = [(event[0], event[-1] + 1) for event in events(y_true)]
    predicted = [(alarm[0], alarm[-1] + 1) for alarm in events(y_pred)]
    precisions, recalls = [], []
    for number, (a, b) in enumerate(true):
        low = (true[number - 1][1] + a) / 2 if number else 0
        high = (b + true[number + 1][0]) / 2 if number + 1 < len(true) else n_rows
        pieces = [
            (max(s, low), min(e, high)) for s, e in predicted if s < high and e > low
        ]

        def distance(x, intervals):
            return min(max(s - x, x - e, 0) for s, e in intervals)

        def not_closer(d, s, e, low=low, high=high):
            """Probability that a point of the zone is d or more from [s, e]."""
            if d == 0:
                return 1.0
            return (max(s - d - low, 0) + max(high - e - d, 0)) / (high - low)

        near, far = [], []
        for quarter in range(4 * n_rows):
            x = (quarter + 0.5) / 4
            if any(s < x < e for s, e in pieces):
                near.append(not_closer(distance(x, [(a, b)]), a, b))
            if a < x < b:
                d = distance(x, pieces) if pieces else math.inf
                far.append(not_closer(d, x, x))
        precisions.append(np.mean(near) if near else np.nan)
        recalls.append(np.mean(far))
    return np.array(precisions), np.array(recalls)


def nab_raw_score(y_pred, windows, n_probation, gain, cost, loss):
    """Raw score of the Numenta Anomaly Benchmark."""

    def sigma(x):
        return 2 / (1 + math.exp(5 * x)) - 1

    best = {window: -loss for window in windows if window[1] >= n_probation}
    score = 0.0
    for row in range(n_probation, len(y_pred)):
        if not y_pred[row]:
            continue
        before = [window for window in windows if window[0] <= row]
        last = max(before) if before else None
        if last and row <= last[1]:
            width = last[1] - last[0] + 1
            weight = gain * sigma(-(last[1] - row + 1) / width) / sigma(-1)
            best[last] = max(best[last], weight)
        elif last and last[1] > last[0]:
            x = (row - last[1]) / (last[1] - last[0])
            score += cost * (-1 if x > 3 else sigma(x))
        else:
            score -= cost
    return score + sum(best.values())


def delays(y_true, y_pred):
    """Rows from the start of each event to the first flagged row in it."""
    result = []
    for event in events(y_true):
        flagged = [i for i, row in enumerate(event) if y_pred[row]]
        result.append(flagged[0] if flagged else np.nan)
    return result


def false_alarms(y_true, y_pred):
    """Number of runs of flagged rows without an anomalous row."""
    return sum(not any(y_true[row] for row in alarm) for alarm in events(y_pred))


def hit_rate(causes, errors, at):
    """Mean share of causes among the largest errors, over all ways to break ties."""
    shares = []
    for event, values in zip(causes, errors, strict=True):
        if not event:
            continue
        k = math.floor(at * len(event) + 1e-9)
        for chance in permutations(range(len(values))):
            ranked = sorted(range(len(values)), key=lambda c: (-values[c], chance[c]))
            shares.append(len(set(ranked[:k]) & set(event)) / len(event))
    return np.mean(shares)
