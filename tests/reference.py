# SPDX-License-Identifier: MIT
"""Slow, obvious loops: the oracle for the fast code."""

from itertools import combinations, pairwise

import numpy as np
import pandas as pd


def trailing_window(X, row, window_size, breaks=None):
    """Return the window ending at a row, padded with the first row of its stretch."""
    first = 0
    for earlier in range(row):
        if breaks is not None and breaks[earlier]:
            first = earlier + 1
    rows = [max(row - age, first) for age in reversed(range(window_size))]
    return np.array([X[r] for r in rows])


def flat_windows(X, window_size):
    """Compute the output of WindowTransformer."""
    return np.array([trailing_window(X, t, window_size).ravel() for t in range(len(X))])


def merged(values, n_timestamps, stride):
    """Compute `merge_windows` for values of shape (n_windows, window_size)."""
    found = [[] for _ in range(n_timestamps)]
    for i, window in enumerate(values):
        for j, value in enumerate(window):
            found[i * stride + j].append(value)
    return np.array([np.mean(values) if values else np.nan for values in found])


def filled(window, mean, covariance):
    """Fill NaN with the last (or first) reading, and what is expected to have changed.

    The expectation is that of a normal distribution, given the channels that have a
    reading in the row.
    """
    window = np.asarray(window, dtype=np.float64)
    is_known, carried, source = ~np.isnan(window), np.array(window - mean), {}
    for channel, column in enumerate(window.T):
        known = [t for t in range(len(column)) if is_known[t, channel]]
        for t in range(len(column)):
            before = [s for s in known if s <= t]
            if known:
                source[t, channel] = before[-1] if before else known[0]
                value = column[source[t, channel]] - mean[channel]
            else:
                value = 0.0
            carried[t, channel] = value
    result = window - mean
    for t, channel in zip(*np.nonzero(~is_known), strict=True):
        others = np.flatnonzero(is_known[t])
        gains = np.linalg.solve(
            covariance[np.ix_(others, others)], covariance[others, channel]
        )
        change = carried[t, others]
        if (t, channel) in source:
            change = change - carried[source[t, channel], others]
        result[t, channel] = carried[t, channel] + change @ gains
    return result + mean


def filler(detector, scale=1.0):
    """Return how a detector fills windows, if readings are multiplied by a scale."""
    scale = np.broadcast_to(scale, detector.center_.shape)
    covariance = np.linalg.inv(detector._channel_precision)
    own = detector._channel_scale * scale
    covariance *= np.outer(own, own)
    return lambda window: filled(window, detector.center_ * scale, covariance)


def known_mean(values):
    """Mean over the first axis, ignoring NaN."""
    means = []
    for column in np.array(values).T:
        known = column[~np.isnan(column)]
        means.append(known.mean() if len(known) else np.nan)
    return np.array(means)


def row_errors(X, reconstruct, window_size, rule, stride=1, breaks=None, fill=None):
    """Compute row errors for a function that maps windows to windows, row by row.

    They are NaN at breaks, and at rows without a window that is not padded and has a
    reading in each of its rows.
    """
    if breaks is None:
        breaks = np.zeros(len(X), dtype=bool)
    X = np.asarray(X, dtype=np.float32)
    rows = range(len(X))
    windows = np.array([trailing_window(X, t, window_size, breaks) for t in rows])
    fill = fill or np.nan_to_num
    outputs = reconstruct([fill(window) for window in windows])
    outputs = outputs.astype(np.float64)
    errors = [[] for _ in X]
    taken = set()  # rows of any window, padded or not
    first = 0  # row of the stretch
    for t in rows:
        if breaks[t]:
            first = t + 1
            continue
        squared = (windows[t] - outputs[t]) ** 2
        is_known = t - first >= window_size - 1
        is_known &= not np.isnan(squared).all(axis=1).any()
        if rule == "last":
            values = {t: squared[-1]}
        elif rule == "window_mean":
            values = {t: known_mean(squared)}
        else:
            ends = t + 1 == len(X) or breaks[t + 1]
            on_grid = (t - first) % stride == 0
            values = {}
            for j in range(window_size):
                row = t - window_size + 1 + j
                # A last window off the grid covers the rows that are in no other
                # window.
                is_left = ends and row not in taken
                if row >= first and (on_grid or is_left):
                    values[row] = squared[j]
        taken.update(values)
        if is_known:
            for row, value in values.items():
                errors[row].append(value)
    return np.array(
        [known_mean(e) if e else np.full(X.shape[1], np.nan) for e in errors]
    )


def multiscale_errors(
    X, reconstruct, window_size, training, centered, breaks, fill, forecasts=False
):
    """Errors by the 'multiscale' rules, on the scale of the rows `training` of X.

    NaN if the residual of the row itself is unknown: in padded windows or, with
    `forecasts`, where the forecast is NaN in a row that is not a break.
    """
    rows = [t for t in range(len(X)) if not breaks[t]]
    lengths = [window_size]
    while lengths[-1] > 1:
        lengths.append(lengths[-1] // 2)
    squared, first = {}, 0
    for t in range(len(X)):
        if breaks[t]:
            first = t + 1
            continue
        window = trailing_window(X, t, window_size, breaks)
        seen = np.asarray(fill(window))[None]
        squared[t] = (window - reconstruct(seen)[0]) ** 2
        n_padded = max(window_size - 1 - (t - first), 0)
        squared[t][: n_padded if forecasts else window_size * (n_padded > 0)] = np.nan
    apart = [np.nanmean(squared[t], axis=1) for t in training[::-window_size]]
    limit = 3 * np.quantile(apart, 0.99)
    means, shares = {}, {}
    for t in rows:
        for k in lengths:
            last = squared[t][-k:]
            if np.isnan(last).all(axis=1).any():
                continue  # a row without any reading
            if k > 1:
                last = [row * min(1, limit / np.nanmean(row)) for row in last]
            channels = known_mean(last)
            means[t, k] = np.nanmean(channels)
            shares[t, k] = channels / means[t, k]
    levels = {}
    for k in lengths:
        scale = logarithmic_scale([means[t, k] for t in training])
        for t in rows:
            if (t, k) in means:
                levels[t, k] = scale(means[t, k])
    errors = np.full(X.shape, np.nan)
    for t in rows:
        if (t, 1) not in levels:
            continue
        used = [(levels[t, 1], shares[t, 1])] * 3
        ends = {"before": dict.fromkeys(lengths, t)}
        if centered:
            ends["after"] = dict.fromkeys(lengths, t)
            for k in lengths:  # the k rows that start at t, or the last of its stretch
                while ends["after"][k] < t + k - 1 and ends["after"][k] + 1 in squared:
                    ends["after"][k] += 1
        for end in ends.values():
            for k in lengths[:-1]:
                if (end[k], k) not in levels:
                    continue
                level = levels[end[k], k]
                if not centered:
                    level = min(level, 0.5 + 1.5 * max(levels[t, k // 2], 0))
                used.append((level, shares[end[k], k]))
        weights = [np.exp(2 * level) for level, _ in used]
        level = np.log(np.mean(weights)) / 2
        errors[t] = np.log(1 + np.exp(level)) * joined_shares(
            [share for _, share in used], weights
        )
    return errors


def with_start_up_rows(errors, X, whole, threshold, fill):
    """Add the errors of start-up rows to those of a training series.

    Start-up rows are judged by a forecast from the row before, and first rows by their
    distance from the mean.

    Parameters
    ----------
    errors : ndarray of shape (n_timestamps, n_channels)
        Errors, NaN at breaks and start-up rows.
    X : ndarray of shape (n_timestamps, n_channels)
        The series: at most 1,000 rows without breaks.
    whole : list of int
        Rows whose windows are not padded.
    threshold : float
        Rows with a larger error are flagged.
    fill : callable
        Fills windows.
    """
    rows = [t for t in range(len(X)) if not np.isnan(X[t]).all()]
    mean = np.nanmean(X, axis=0)
    centred = X - mean
    before = {t: t - 1 if t - 1 in rows else t for t in rows}
    given = {t: (fill(X[[before[t]]]) - mean)[0] for t in rows}

    def squares(learned, judged):
        by_row = {t: np.full(X.shape[1], np.nan) for t in judged}
        for channel in range(X.shape[1]):
            known = [t for t in learned if not np.isnan(X[t, channel])]
            A = np.array([given[t] for t in known])
            y = centred[known, channel]
            penalty = max(0.01 * len(known), 1e-30) * np.eye(X.shape[1])
            weights = np.linalg.solve(A.T @ A + penalty, A.T @ y)
            for t in judged:
                by_row[t][channel] = (centred[t, channel] - given[t] @ weights) ** 2
        return by_row

    by_channel = squares(rows, rows)
    of_rows = {t: np.nanmean(by_channel[t]) for t in rows}
    scale = logarithmic_scale([of_rows[t] for t in rows if before[t] != t])
    # Errors of new rows: each half by a forecast that was fitted on the other one.
    inner = [t for t in rows if t - 1 in rows]
    middle, unit = len(inner) // 2, 1.0
    if middle > 2:
        held_out = squares(inner[middle:], inner[: middle - 1])
        held_out |= squares(inner[:middle], inner[middle + 1 :])
        ordered = sorted(np.nanmean(e) for e in held_out.values())
        n_above = int(0.01 * len(ordered) + 1e-9)
        top = ordered[-1] * (1 + 1e-4)
        if n_above:
            top = (ordered[-n_above - 1] + ordered[-n_above]) / 2
        unit = max(scale(top), 1.0)
    distances = {t: centred[t] ** 2 for t in rows}
    first_scale = logarithmic_scale([np.nanmean(distances[t]) for t in rows])
    median = np.median([np.nanmean(errors[t]) for t in whole])
    result = errors.copy()
    for t in rows:
        if np.isnan(errors[t]).all():
            level = scale(of_rows[t]) / unit
            if before[t] == t or np.isnan(X[t - 1]).any():
                by_channel[t], of_rows[t] = distances[t], np.nanmean(distances[t])
                level = first_scale(of_rows[t])
            if level < 0:
                error = median * np.exp(level)
            elif level < 1:
                error = median + level * (threshold - median)
            else:
                step = max(threshold - median, 0.01 * threshold)
                error = threshold + (level - 1) * step
            result[t] = error * by_channel[t] / of_rows[t]
    return result


def logarithmic_scale(errors):
    """Return a function that maps the median to 0 and the 99 % quantile to 1."""
    errors = np.array(errors)
    floor = 1e-3 * max(np.median(errors), 1e-3 * errors.mean())
    logs = np.log(errors + floor)
    centre, top = np.median(logs), np.quantile(logs, 0.99)
    return lambda error: (np.log(error + floor) - centre) / max(top - centre, 0.1)


def joined_shares(shares, weights):
    """Mean shares of the channels, over the channels that are known to any view."""
    shares = np.array(shares)
    known = ~np.isnan(shares).all(axis=0)
    joined = np.zeros(shares.shape[1])
    for share, weight in zip(shares, weights, strict=True):
        # Each share counts for all channels that are known to any view.
        joined += weight * np.nan_to_num(share) / np.nansum(share) * known.sum()
    return np.where(known, joined / np.sum(weights), np.nan)


def best_f_score(errors, y, beta):
    """Find the best F-beta by trying all thresholds."""
    best = 0.0
    for cut in errors:
        flagged = errors >= cut
        found = (flagged & y).sum()
        precision, recall = found / flagged.sum(), found / y.sum()
        if found:
            score = (1 + beta**2) * precision * recall
            best = max(best, score / (beta**2 * precision + recall))
    return best


def temporal_features(
    X, windows=(5, 10, 30), lags=(1, 2, 3, 5), rates=(1, 5), eps=1e-6
):
    """Compute TemporalFeatures straightforwardly with pandas."""
    depth = max([*windows, *lags, *rates])
    padded = pd.concat([X.iloc[[0] * depth], X])

    def rows(frame, name):
        return frame.iloc[depth:].set_axis(X.index).add_suffix(name)

    def guarded(values):
        small = values.abs() < eps
        return values.where(~small, np.where(values < 0, -eps, eps))

    parts = [X]
    for w in windows:
        rolling = padded.rolling(w, min_periods=1)
        low, high = rolling.min(), rolling.max()
        std = padded.rolling(w, min_periods=2).std()
        parts += [rows(rolling.mean(), f"_mean_{w}"), rows(std, f"_std_{w}")]
        parts += [rows(low, f"_min_{w}"), rows(high, f"_max_{w}")]
        parts += [rows(high - low, f"_range_{w}")]
    parts += [rows(padded.shift(k), f"_lag_{k}") for k in lags]
    for k in rates:
        difference = padded - padded.shift(k)
        change = difference / guarded(padded.shift(k))
        parts += [rows(difference, f"_diff_{k}"), rows(change, f"_change_{k}")]
    time = X.index
    calendar = {
        "hour": time.hour,
        "minute": time.minute,
        "minute_of_day": time.hour * 60 + time.minute,
        "day_of_week": time.day_of_week,
        "day_of_month": time.day,
        "month": time.month,
        "is_weekend": time.day_of_week.isin([5, 6]),
    }
    for name, values, period in (
        ("hour", time.hour, 24),
        ("day_of_week", time.day_of_week, 7),
        ("month", time.month - 1, 12),
    ):
        calendar[f"{name}_sin"] = np.sin(2 * np.pi * values / period)
        calendar[f"{name}_cos"] = np.cos(2 * np.pi * values / period)
    parts.append(pd.DataFrame(calendar, index=time))
    pairs = list(combinations(X.columns, 2))
    ratios = {f"{a}/{b}": X[a] / guarded(X[b]) for a, b in pairs}
    differences = {f"{a}-{b}": X[a] - X[b] for a, b in pairs}
    across = {
        "row_mean": X.mean(axis=1),
        "row_std": X.std(axis=1),
        "row_min": X.min(axis=1),
        "row_max": X.max(axis=1),
        "row_range": X.max(axis=1) - X.min(axis=1),
    }
    parts += [pd.DataFrame(part) for part in (ratios, differences, across)]
    return pd.concat(parts, axis=1).astype(float)


def cluster_peaks(errors, level, breaks=None):
    """Largest errors of the clusters beyond a level, and the extremal index.

    Ferro and Segers 2003, sections 2 and 4, row by row.
    """
    stretch, beyond = 0, []
    for row, error in enumerate(errors):
        if breaks is not None and breaks[row]:
            stretch += 1
        elif error > level:
            beyond.append((row, stretch, error))
    neighbours = list(pairwise(beyond))
    gaps = [b[0] - a[0] for a, b in neighbours if a[1] == b[1]]
    index = 1.0
    if gaps and max(gaps) <= 2:
        index = 2 * sum(gaps) ** 2 / (len(gaps) * sum(gap**2 for gap in gaps))
    elif gaps:
        squares = sum((gap - 1) * (gap - 2) for gap in gaps)
        index = 2 * sum(gap - 1 for gap in gaps) ** 2 / (len(gaps) * squares)
    index = min(index, 1.0)
    n_between = int(index * len(gaps) + 1e-9)
    inside = sorted(gaps)[: len(gaps) - n_between]
    clusters = [[beyond[0][2]]] if beyond else []
    for a, b in neighbours:
        if a[1] != b[1] or not inside or b[0] - a[0] > inside[-1]:
            clusters.append([])
        clusters[-1].append(b[2])
    return sorted(max(cluster) for cluster in clusters), index


def alarms(errors, threshold, median_error, **rules):
    """Compute `AlarmFilter.alarms` as a list of dicts, with row numbers."""
    unit = max(threshold - median_error, 1e-3 * abs(threshold))
    excess, tracked = [], threshold
    for error in errors:
        excess.append((error - tracked) / unit)
        if not np.isnan(error):
            up = 0.99 if excess[-1] > 0 else -0.01
            tracked = max(tracked + rules["tracking"] * unit * up, threshold)
    found, first = [], 0
    while first < len(errors):
        alarm = _next_alarm(errors, excess, first, **rules)
        if alarm is None:
            break
        rows = range(alarm["start"], alarm["end"] + 1)
        above = [t for t in rows if excess[t] > 0]
        alarm["peak"] = max(above, key=lambda t: (errors[t], -t))
        alarm["error"] = errors[alarm["peak"]]
        alarm["severity"] = 100 * (1 - 0.5 ** max(excess[t] for t in above))
        alarm["priority"] = (
            "low"
            if alarm["severity"] < 50
            else "medium"
            if alarm["severity"] < 87.5
            else "high"
        )
        first = alarm.pop("over") + 1
        alarm["state"] = "cleared" if first <= len(errors) else "active"
        found.append(alarm)
    return found


def _next_alarm(errors, excess, first, *, trigger, max_excess, decay, on_delay, **ends):
    """Return start, raised and end of the next alarm, and the row that clears it."""
    accumulated, start = 0.0, None
    for t in range(first, len(excess)):
        if np.isnan(excess[t]):
            accumulated, start, first = 0.0, None, t + 1
        elif excess[t] > 0:
            start = t if start is None else start
            accumulated += min(excess[t], max_excess)
            latest = range(t - on_delay + 1, t + 1)
            is_long = latest[0] >= first and all(excess[s] > 0 for s in latest)
            if accumulated > trigger and is_long:
                alarm = {"start": start, "raised": t}
                rules = {"trigger": trigger, "max_excess": max_excess, "decay": decay}
                worst = np.nanmax(errors[start : t + 1]), max(excess[start : t + 1])
                rules |= {"on_delay": on_delay, "worst": worst}
                end, over = _end_of_alarm(errors, excess, t, **rules, **ends)
                return {**alarm, "end": end, "over": over}
            accumulated = min(accumulated, trigger)
        else:
            accumulated = _lowered(accumulated, decay)
            start = None if accumulated == 0 else start
    return None


def _lowered(accumulated, decay):
    """Subtract without the remainder that rounding leaves."""
    return max(round(accumulated - decay, 9), 0.0)


def _end_of_alarm(
    errors,
    excess,
    raised,
    *,
    trigger,
    max_excess,
    decay,
    on_delay,
    worst,
    off_delay,
    deadband,
    tracking,
):
    """Return the last row of an alarm, and the row that clears it."""
    end = last = raised
    is_calm, accumulated, n_above = False, trigger, on_delay
    for t in range(raised + 1, len(excess)):
        if np.isnan(excess[t]):
            return end, t
        n_above = n_above + 1 if excess[t] > 0 else 0
        if excess[t] > 0:
            last, accumulated = t, accumulated + min(excess[t], max_excess)
            again = accumulated > trigger and n_above >= on_delay
            accumulated = min(accumulated, trigger)
            is_worst = errors[t] > worst[0] or excess[t] > worst[1]
            if again or is_worst or not is_calm:
                end, is_calm = t, False
                worst = max(worst[0], errors[t]), max(worst[1], excess[t])
        elif excess[t] > -deadband:
            last, end = t, end if is_calm else t
        else:
            accumulated = _lowered(accumulated, decay)
            is_calm = is_calm or accumulated == 0
            if t - last == off_delay:
                return end, t
    return end, len(excess)
