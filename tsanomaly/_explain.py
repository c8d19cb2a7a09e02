# SPDX-License-Identifier: MIT
from numbers import Integral

import numpy as np

from tsanomaly._alarm_filter import (
    AlarmFilter,
    AlarmTracker,
    alarm_duration,
    alarm_table,
    median_error_of,
)
from tsanomaly._attribution import channel_errors, expected_readings, occlude
from tsanomaly._inspection import (
    check_detector,
    detector_errors,
    errors_and_threshold,
    find_threshold,
)
from tsanomaly._sklearn_compat import (
    Interval,
    InvalidParameterError,
    StrOptions,
    validate_params,
)
from tsanomaly._time_order import warn_if_unordered
from tsanomaly._validation import as_series, check_columns, find_breaks, median_step
from tsanomaly._windows import runs
from tsanomaly._wording import called, clock_format, number, span

__all__ = ["describe_events", "explain", "find_alarms", "name_channels"]

# Columns that describe alarms, apart from rows.
_OF_ALARMS = ("severity", "priority", "state")

# Sentences mention missing readings if they are at least this share of the rows of an
# event. Single ones are usual in plants.
_OFTEN = 0.1


@validate_params(
    {
        "attribution": [StrOptions({"auto", "occlusion"}), callable],
        "n_channels": [Interval(Integral, 1, None, closed="left")],
        "max_gap": [Interval(Integral, 0, None, closed="left")],
        "alarm_filter": [AlarmFilter, None],
    },
    prefer_skip_nested_validation=True,
)
def explain(
    detector,
    X,
    *,
    flagged=None,
    attribution="auto",
    n_channels=3,
    max_gap=0,
    alarm_filter=None,
):
    """List anomalous events with their channels and expected readings.

    Consecutive flagged rows are one event; with an `alarm_filter`, the events are its
    alarms. The channels of an event are ranked by their share of the error of its
    flagged rows. Channels with missing readings in these rows are mentioned as well.

    Parameters
    ----------
    detector : fitted estimator
        An outlier detector, or a pipeline that ends in one. For a
        :class:`StreamingDetector`, its detector is used, and its filter unless
        `flagged` or `alarm_filter` is given.
    X : array-like of shape (n_timestamps, n_channels)
        Series, rows in time order, as required by the detector.
    flagged : array-like of bool of shape (n_timestamps,) or None, default=None
        Rows to explain. None explains the rows that the detector flags. Pass a mask to
        use another threshold or to inspect known events.
    attribution : {'auto', 'occlusion'} or callable, default='auto'
        How the errors of rows are attributed to channels:

        - 'auto': exactly, if the error is a sum over channels. This holds for
          :class:`LSTMAutoencoderDetector`, :class:`LinearAutoencoderDetector`,
          :class:`AutoregressiveDetector`, :class:`WindowNeighborsDetector`, an
          :class:`EnsembleDetector` of these, and :class:`ReconstructionError`, also on
          columns of windows. A :class:`ScoreTransformer` uses the attribution of its
          detector, and a cascade that of the part which scored the row. All other
          detectors use 'occlusion'.
        - 'occlusion': by how much the error decreases if the channel has normal
          readings. Over the flagged rows and their context, the channel is replaced by
          a line between the surrounding readings, and by eight stretches of its own
          readings in rows that are not flagged. The largest decrease counts. Requires
          ``9 * n_channels`` passes over these rows.
        - callable: ``attribution(detector, X, rows)`` takes the numbers of the flagged
          rows and returns an array of shape ``(n_rows, n_channels)``, larger for
          channels that contribute more. Negative values count as 0.
    n_channels : int, default=3
        Maximum number of channels per event. Channels without a share are omitted.
    max_gap : int, default=0
        Maximum number of unflagged rows between flagged ranges that are merged into one
        event. Not used with an `alarm_filter`, which has an off-delay.
    alarm_filter : AlarmFilter or None, default=None
        Explain the alarms of this filter. The scale of their severity is based on the
        ``median_error_`` of the detector or, if it has none, on the median error of
        `X`.

    Returns
    -------
    events : DataFrame
        One row per event, in time order:

        - ``start``, ``end`` : labels of the first and last row, both inclusive; row
          numbers for an array
        - ``peak`` : label of the row with the lowest score
        - ``duration`` : Timedelta, assuming the median time step for each row; the
          number of rows if the index has no ordered times
        - ``score`` : score of the peak row; the lower, the more abnormal
        - ``channels`` : list of the channels that contribute most, in descending order:
          column names, or positions for an array
        - ``shares`` : list of float, shares of these channels in the error
        - ``reading``, ``expected`` : float, values of the first channel in the row
          where they differ most; the expected value is the reconstruction, in the units
          of `X`, or the median of unflagged rows if there is no reconstruction
        - ``sentence`` : str, a summary in words

        With an `alarm_filter`, also ``raised``, ``severity``, ``priority`` and
        ``state`` after the score; see :meth:`AlarmFilter.alarms`.

    Raises
    ------
    ValueError
        If a parameter is out of range, the detector has no scores, the shape of
        `flagged` or of the result of `attribution` does not match `X`, or both
        `flagged` and `alarm_filter` are given.

    See Also
    --------
    AlarmFilter : Turn row errors into alarms.
    tsanomaly.plotting.ContributionDisplay : Plot the errors of all channels as a heat
        map.
    tsanomaly.plotting.ReconstructionDisplay : Plot readings and expected readings.

    Notes
    -----
    Exact attribution works through earlier steps if the channel of each column is
    known: scalers and other one-to-one steps of scikit-learn, feature selection, and
    :class:`WindowTransformer`. Expected readings are mapped back with
    `inverse_transform`. After other steps, such as :class:`TemporalFeatures`,
    attribution is by occlusion.

    A share shows where the error occurs, not its cause. A faulty sensor can also
    mislead a network about other channels.

    Examples
    --------
    >>> from sklearn.decomposition import PCA
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from tsanomaly import ReconstructionError, ReconstructionThreshold, explain
    >>> from tsanomaly.datasets import make_sensor_data
    >>> X = make_sensor_data(2000, contamination=0, random_state=0).frame
    >>> detector = make_pipeline(
    ...     StandardScaler(),
    ...     ReconstructionError(PCA(2)),
    ...     ReconstructionThreshold(quantile=0.999),
    ... ).fit(X)
    >>> X.iloc[500:510, 2] += 60
    >>> events = explain(detector, X)
    >>> events.loc[0, ["start", "end"]].astype(str).tolist()
    ['2024-01-01 08:20:00', '2024-01-01 08:29:00']
    >>> events.loc[0, "channels"][0]
    'sensor_3'
    """
    import pandas as pd

    if hasattr(detector, "update_many"):  # a stream
        if flagged is None and alarm_filter is None:
            alarm_filter = detector.alarm_filter
        detector = detector.detector
    check_detector(detector, "detector")
    check_columns(X, "explain")
    if not isinstance(X, pd.DataFrame):
        X = np.asarray(as_series(X))
    if X.ndim != 2:
        raise ValueError(
            "X must have two dimensions, (n_timestamps, n_channels), got an array of "
            f"shape {X.shape}. Reshape a single channel with X.reshape(-1, 1)."
        )
    warn_if_unordered(X)
    errors, flagged, events = _find_events(detector, X, flagged, max_gap, alarm_filter)
    return describe_events(
        detector,
        X,
        errors,
        flagged,
        events,
        attribution=attribution,
        n_channels=n_channels,
        are_alarms=alarm_filter is not None,
    )


def describe_events(
    detector,
    X,
    errors,
    flagged,
    events,
    *,
    attribution,
    n_channels,
    are_alarms,
    expected=None,
):
    """Describe given events as in `explain`.

    Parameters
    ----------
    detector : fitted estimator
        The detector.
    X : DataFrame or ndarray of shape (n_timestamps, n_channels)
        The series.
    errors : ndarray of shape (n_timestamps,)
        Errors, higher = worse.
    flagged : ndarray of bool of shape (n_timestamps,)
        Rows to explain.
    events : list of dict
        Events with the rows 'start' and 'end', or alarms from `find_alarms`.
    attribution, n_channels
        As in `explain`.
    are_alarms : bool
        Whether the events are alarms.
    expected : ndarray of shape (n_timestamps, n_channels) or None, default=None
        Readings that the detector expects. None computes those of the rows to explain.

    Returns
    -------
    events : DataFrame
        As in `explain`.
    """
    import pandas as pd

    rows = np.flatnonzero(flagged)
    contributions = _attribute(detector, X, rows, ~flagged, attribution)
    source = "expected"
    if expected is None:
        expected, source = _expect(detector, X, rows, ~flagged)
    else:
        expected = expected[rows]
    index, names = pd.RangeIndex(len(X)), list(range(X.shape[1]))
    if isinstance(X, pd.DataFrame):
        index, names = X.index, list(X.columns)
    readings = _readings_at(X, rows)
    step, clock = median_step(index), clock_format(index)
    table = []
    for found in events:
        start, end = found["start"], found["end"]
        inside = slice(*np.searchsorted(rows, [start, end + 1]))
        peak = rows[inside][np.argmax(errors[rows[inside]])]
        event = {
            "start": index[start],
            "end": index[end],
            "peak": index[peak],
            "duration": alarm_duration(index, start, end, step),
            "score": -errors[peak],
        }
        if are_alarms:
            event["raised"] = index[found["raised"]]
            event |= {name: found[name] for name in _OF_ALARMS}
        event |= name_channels(contributions[inside], names, n_channels)
        event |= {"reading": np.nan, "expected": np.nan}
        if event["channels"]:
            first = names.index(event["channels"][0])
            event |= _compare(readings[inside, first], expected[inside, first])
        gaps = _gaps(readings[inside], names)
        event["sentence"] = (
            f"{span(event['start'], event['end'], clock)}: {_what(event, gaps, source)}"
        )
        table.append(event)
    columns = ["start", "end", "peak", "duration", "score"]
    if are_alarms:
        columns += ["raised", *_OF_ALARMS]
    columns += ["channels", "shares", "reading", "expected", "sentence"]
    return alarm_table(table, columns, index, step)


def _find_events(detector, X, flagged, max_gap, alarm_filter):
    """Return errors, a mask of rows to explain, and the events or alarms."""
    if alarm_filter is not None and flagged is not None:
        raise ValueError(
            "flagged and alarm_filter are both given, but only one of them can select "
            "the rows to explain. Pass one of them; "
            "alarm_filter=AlarmFilter(threshold=...) sets another threshold."
        )
    if alarm_filter is not None:
        errors = detector_errors(detector, X)
        threshold = alarm_filter.threshold
        if threshold is None:
            threshold = find_threshold(detector, X, errors)
        errors[find_breaks(X)] = np.nan
        return errors, *find_alarms(detector, errors, threshold, alarm_filter)
    if flagged is None:
        errors, threshold = errors_and_threshold(detector, X)
        flagged = errors > threshold
    else:
        flagged = _check_flagged(flagged, len(X))
        errors = detector_errors(detector, X)
    errors[find_breaks(X)] = np.nan
    flagged = flagged & ~np.isnan(errors)  # breaks are not events
    return errors, flagged, _events(flagged, np.isnan(errors), max_gap)


def find_alarms(detector, errors, threshold, alarm_filter):
    """Find the alarms of a filter.

    Parameters
    ----------
    detector : fitted estimator
        Detector whose `median_error_` is used, if it has one.
    errors : ndarray of shape (n_timestamps,)
        Errors, higher = worse. NaN at breaks.
    threshold : float
        The threshold.
    alarm_filter : AlarmFilter
        The filter.

    Returns
    -------
    flagged : ndarray of bool of shape (n_timestamps,)
        Rows of alarms that are above the threshold.
    alarms : list of dict
        As from `AlarmTracker.run`.
    """
    median_error = median_error_of(detector, errors)
    if median_error is None:  # only breaks
        median_error = threshold
    try:
        tracker = AlarmTracker(alarm_filter, threshold, median_error)
    except InvalidParameterError as error:
        # Another type, because validate_params would attribute it to explain.
        raise ValueError(str(error)) from None
    alarms, flagged = tracker.run(errors)
    belongs = np.zeros(len(errors), dtype=bool)
    for alarm in alarms:
        belongs[alarm["start"] : alarm["end"] + 1] = True
    return flagged & belongs, alarms


def _check_flagged(flagged, n_timestamps):
    flagged = np.asarray(flagged)
    if flagged.shape != (n_timestamps,) or not np.isin(flagged, [0, 1]).all():
        raise ValueError(
            f"flagged must be True or False for each of the {n_timestamps} rows of X, "
            f"got an array of shape {flagged.shape} and type {flagged.dtype}. Convert "
            "labels of predict with labels == -1."
        )
    return flagged.astype(bool)


def _attribute(detector, X, rows, normal, attribution):
    """Return the non-negative contribution of each channel to each row."""
    shape = len(rows), X.shape[1]
    if not len(rows):
        return np.empty(shape)
    if callable(attribution):
        contributions = np.asarray(attribution(detector, X, rows), dtype=np.float64)
        if contributions.shape != shape or np.isnan(contributions).any():
            raise ValueError(
                f"attribution must return a number for each of the {shape[0]} rows and "
                f"{shape[1]} channels, got an array of shape {contributions.shape} "
                f"with {np.isnan(contributions).sum()} NaN."
            )
        return np.maximum(contributions, 0)
    contributions = None
    if attribution == "auto":
        contributions = channel_errors(detector, X, rows, normal)
    if contributions is None:
        contributions = occlude(detector, X, rows, normal)
    return np.nan_to_num(contributions)


def _expect(detector, X, rows, normal):
    """Return the expected readings of the rows, and a word for their kind."""
    expected = expected_readings(detector, X, rows) if len(rows) else None
    if expected is not None:
        return expected, "expected"
    readings = _readings_at(X, np.flatnonzero(normal) if normal.any() else slice(None))
    # Not nanmedian, which warns about channels without readings.
    usual = [
        np.median(known) if len(known := column[~np.isnan(column)]) else np.nan
        for column in readings.T
    ]
    return np.broadcast_to(usual, (len(rows), X.shape[1])), "usual"


def _readings_at(X, rows):
    """Return some rows as floats, NaN where a reading is missing."""
    if hasattr(X, "iloc"):
        return X.iloc[rows].to_numpy(dtype=np.float64, na_value=np.nan)
    return np.asarray(X[rows], dtype=np.float64)


def _events(flagged, breaks, max_gap):
    """Return the first and last rows of flagged ranges, merged if they are close.

    Ranges on both sides of a break are of different series.
    """
    start, end = runs(flagged.astype(np.int8))
    n_breaks = np.cumsum(breaks)
    apart = start[1:] - end[:-1] - 1 > max_gap
    apart |= n_breaks[start[1:]] > n_breaks[end[:-1]]
    first, last = np.ones(len(start), dtype=bool), np.ones(len(start), dtype=bool)
    first[1:], last[:-1] = apart, apart
    pairs = zip(start[first].tolist(), end[last].tolist(), strict=True)
    return [{"start": start, "end": end} for start, end in pairs]


def name_channels(contributions, names, n_channels):
    """Return the channels with the largest shares of the errors of rows.

    Parameters
    ----------
    contributions : ndarray of shape (n_rows, n_channels)
        Non-negative contributions.
    names : list
    n_channels : int
        Maximum number of channels. Channels without a share are omitted.

    Returns
    -------
    named : dict
        The lists 'channels' and 'shares', in descending order of the shares.
    """
    largest = contributions.max()
    if not largest > 0:
        return {"channels": [], "shares": []}
    total = (contributions / largest).sum(axis=0)  # without overflow
    order = np.argsort(-total, kind="stable")[:n_channels]
    order = order[total[order] > 0]
    return {
        "channels": [names[channel] for channel in order],
        "shares": (total[order] / total.sum()).tolist(),
    }


def _compare(readings, expected):
    """Return the reading and the expected value where they differ most."""
    distance = np.abs(readings - expected)
    if np.isnan(distance).all():  # nothing is expected: the first reading
        row = np.argmin(np.isnan(readings))
    else:
        row = np.nanargmax(distance)
    return {"reading": float(readings[row]), "expected": float(expected[row])}


def _what(event, gaps, source):
    """Describe the first channel, its reading and share, and missing readings.

    `gaps` maps channels that lack many readings to a description of how many.
    """
    if event["channels"]:
        name, share = event["channels"][0], event["shares"][0]
        text = [gaps.pop(name)] if name in gaps else []
        if not np.isnan(event["reading"]):
            text.append(_deviation(event["reading"], event["expected"], source))
        said = [
            f"{called(name)} {', '.join(text)}",
            f"{100 * share:.0f} % of the error",
        ]
    else:
        said = ["no channel alone explains it"]
    return "; ".join(said + [f"{called(name)} {gap}" for name, gap in gaps.items()])


def _gaps(readings, names):
    """Describe the missing readings of each channel that lacks many."""
    missing = np.isnan(readings)
    n_rows = len(missing)
    return {
        name: "missing" if n == n_rows else f"missing in {n:,} of {n_rows:,} rows"
        for name, n in zip(names, missing.sum(axis=0).tolist(), strict=True)
        if n > 0 and n >= _OFTEN * n_rows
    }


def _deviation(reading, expected, source):
    distance = reading - expected
    if np.isnan(distance):
        return f"at {number(reading, reading)}"
    # Three significant digits of the distance.
    far, usual = number(abs(distance), distance), number(expected, distance)
    if distance == 0:
        return f"as {source}, {number(expected, expected)}"
    return f"{far} {'above' if distance > 0 else 'below'} {source} {usual}"
