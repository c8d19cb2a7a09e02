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

# What alarms are described by, beside their rows.
_OF_ALARMS = ("severity", "priority", "state")


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
    """Say when a series is abnormal, in which channels, and what was expected.

    Flagged rows that follow each other are one event, or an `alarm_filter` says which
    rows are one alarm. Its channels are ranked by their share of the error of its
    flagged rows. Channels that have no reading in some of them are named, too.

    Parameters
    ----------
    detector : fitted estimator
        An outlier detector, or a pipeline that ends in one; of a
        :class:`StreamingDetector`, its detector, and its filter unless `flagged` or
        `alarm_filter` is given.
    X : array-like of shape (n_timestamps, n_channels)
        A series, rows in time order, as the detector takes it.
    flagged : array-like of bool of shape (n_timestamps,) or None, default=None
        Rows to explain. None explains those that the detector flags; pass others where
        another threshold is used, or to look into known events.
    attribution : {'auto', 'occlusion'} or callable, default='auto'
        How the errors of rows are split among the channels:

        - 'auto': exactly, if the detector says what it expected: the errors of
          :class:`LSTMAutoencoderDetector`, :class:`AutoregressiveDetector`,
          :class:`WindowNeighborsDetector`, of an :class:`EnsembleDetector` of such
          detectors, and of :class:`ReconstructionError` are sums over channels, and the
          columns of windows are folded back onto theirs. The normalised score of a
          :class:`ScoreTransformer` is split as the error of its detector, and the error
          of a cascade as that of the part which scored the row. All other detectors are
          explained by 'occlusion'.
        - 'occlusion': by how far the error falls if one channel reads as in normal
          rows. A channel is replaced, over the flagged rows and the context of their
          scores, by the line between the readings around, and by eight stretches of
          its own readings from rows that are not flagged; the best of them counts.
          Takes ``9 * n_channels`` runs over these rows.
        - callable: ``attribution(detector, X, rows)`` gets the numbers of the flagged
          rows, and returns an array of shape ``(n_rows, n_channels)``: larger where a
          channel contributes more; what is below 0 counts as 0.
    n_channels : int, default=3
        How many channels to name, at most. Those without any share are not named.
    max_gap : int, default=0
        Flagged ranges with so many other rows between them, or fewer, are one event.
        Alarms go by the off-delay of the filter instead.
    alarm_filter : AlarmFilter or None, default=None
        Explain the alarms of this filter. What alarms are measured by is the median
        error of the training rows, the ``median_error_`` of a detector; of one that
        does not have it, the median error of `X`.

    Returns
    -------
    events : DataFrame
        One row per event, in time order:

        - ``start``, ``end`` : labels of the index of `X`, both included; row numbers
          for an array
        - ``peak`` : label of the row with the lowest score
        - ``duration`` : Timedelta, where each row lasts the median time from row to
          row; number of rows if the index does not hold times in order
        - ``score`` : what `score_samples` says of that row; the lower, the more
          abnormal
        - ``channels`` : list of the channels that contributed most, the first most
          of all: names of columns, or positions for an array
        - ``shares`` : list of float, their shares of the error
        - ``reading``, ``expected`` : float, of the first channel, in the row of the
          event in which the two differ most. Expected is the reconstruction, in the
          unit of `X`; if there is none, the median of the rows that are not flagged
        - ``sentence`` : str, all this for people

        With an `alarm_filter`, after the score also ``raised``, ``severity``,
        ``priority`` and ``state``, as of :meth:`AlarmFilter.alarms`.

    Raises
    ------
    ValueError
        If a parameter is out of range, the detector has no scores, what `flagged` or
        `attribution` give does not fit `X`, or both `flagged` and an `alarm_filter`
        are given.

    See Also
    --------
    AlarmFilter : What is an alarm.
    tsanomaly.plotting.ContributionDisplay : The same for every row, as a picture.
    tsanomaly.plotting.ReconstructionDisplay : Readings and what was expected.

    Notes
    -----
    Steps before the detector are seen through where it is known which channel a column
    belongs to: scalers and other steps of scikit-learn that keep columns one to one,
    feature selection, and :class:`WindowTransformer`. Scalers are undone with their
    `inverse_transform`. Behind other steps, such as :class:`TemporalFeatures`, the
    channels are occluded.

    A share says where the error arises, not what caused it: a network that is misled by
    one sensor may reconstruct others badly, too.

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
    detector, X, errors, flagged, events, *, attribution, n_channels, are_alarms
):
    """Say of events that were found what `explain` says.

    Parameters
    ----------
    detector : fitted estimator
        The detector.
    X : DataFrame or ndarray of shape (n_timestamps, n_channels)
        The series.
    errors : ndarray of shape (n_timestamps,)
        Higher = worse.
    flagged : ndarray of bool of shape (n_timestamps,)
        The rows to explain.
    events : list of dict
        With the rows 'start' and 'end', or alarms as from `find_alarms`.
    attribution, n_channels
        As of `explain`.
    are_alarms : bool
        Whether they are alarms.

    Returns
    -------
    events : DataFrame
        As from `explain`.
    """
    import pandas as pd

    rows = np.flatnonzero(flagged)
    contributions = _attribute(detector, X, rows, ~flagged, attribution)
    expected, source = _expect(detector, X, rows, ~flagged)
    index, names = pd.RangeIndex(len(X)), list(range(X.shape[1]))
    readings = X
    if isinstance(X, pd.DataFrame):
        index, names, readings = X.index, list(X.columns), X.to_numpy()
    readings = np.asarray(readings[rows], dtype=np.float64)
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
    """Errors of rows, those to explain, and where events or alarms start and end."""
    if alarm_filter is not None and flagged is not None:
        raise ValueError(
            "flagged and alarm_filter are both given, and each says which rows to "
            "explain. Pass one of them; alarm_filter=AlarmFilter(threshold=...) sets "
            "another threshold."
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
    flagged = flagged & ~np.isnan(errors)  # breaks are no events
    return errors, flagged, _events(flagged, max_gap)


def find_alarms(detector, errors, threshold, alarm_filter):
    """The alarms of a filter.

    Parameters
    ----------
    detector : fitted estimator
        Whose `median_error_` alarms are measured by, if it has one.
    errors : ndarray of shape (n_timestamps,)
        Higher = worse; NaN at breaks.
    threshold : float
        The threshold.
    alarm_filter : AlarmFilter
        The rules.

    Returns
    -------
    flagged : ndarray of bool of shape (n_timestamps,)
        Rows of alarms that are above the threshold.
    alarms : list of dict
        As from `AlarmTracker.run`.
    """
    median_error = median_error_of(detector, errors)
    if median_error is None:  # breaks alone
        median_error = threshold
    try:
        tracker = AlarmTracker(alarm_filter, threshold, median_error)
    except InvalidParameterError as error:
        # As another error: validate_params would say that it is one of explain.
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
            f"flagged must say True or False of each of the {n_timestamps} rows of X, "
            f"got an array of shape {flagged.shape} and type {flagged.dtype}. Labels "
            "of predict convert with labels == -1."
        )
    return flagged.astype(bool)


def _attribute(detector, X, rows, normal, attribution):
    """Contribution of each channel to each of the rows, non-negative."""
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
    """What was expected of the rows, and in which word."""
    expected = expected_readings(detector, X, rows) if len(rows) else None
    if expected is not None:
        return expected, "expected"
    readings = np.asarray(X, dtype=np.float64)
    if normal.any():
        readings = readings[normal]
    # Not nanmedian, which warns of channels without a reading.
    usual = [
        np.median(known) if len(known := column[~np.isnan(column)]) else np.nan
        for column in readings.T
    ]
    return np.broadcast_to(usual, (len(rows), X.shape[1])), "usual"


def _events(flagged, max_gap):
    """First and last row of ranges of flagged rows, those that are close joined."""
    start, end = runs(flagged.astype(np.int8))
    apart = start[1:] - end[:-1] - 1 > max_gap
    first, last = np.ones(len(start), dtype=bool), np.ones(len(start), dtype=bool)
    first[1:], last[:-1] = apart, apart
    pairs = zip(start[first].tolist(), end[last].tolist(), strict=True)
    return [{"start": start, "end": end} for start, end in pairs]


def name_channels(contributions, names, n_channels):
    """The channels with the largest shares of the errors of rows.

    Parameters
    ----------
    contributions : ndarray of shape (n_rows, n_channels)
        Non-negative.
    names : list
    n_channels : int
        How many to name, at most; those without a share are not named.

    Returns
    -------
    named : dict
        The lists 'channels' and 'shares', the largest first.
    """
    largest = contributions.max()
    if not largest > 0:
        return {"channels": [], "shares": []}
    total = (contributions / largest).sum(axis=0)  # finite, however large they are
    order = np.argsort(-total, kind="stable")[:n_channels]
    order = order[total[order] > 0]
    return {
        "channels": [names[channel] for channel in order],
        "shares": (total[order] / total.sum()).tolist(),
    }


def _compare(readings, expected):
    """Reading and expectation where they differ most."""
    distance = np.abs(readings - expected)
    row = 0 if np.isnan(distance).all() else np.nanargmax(distance)
    return {"reading": float(readings[row]), "expected": float(expected[row])}


def _what(event, gaps, source):
    """The first channel, its reading and its share in words; and what is missing.

    `gaps` says of every channel in how many rows of the event it has no reading, for
    those that have some.
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
    """Of channels without a reading in some rows, in how many, in words."""
    missing = np.isnan(readings)
    return {
        name: "missing" if all(rows) else f"missing in {rows.sum()} of {len(rows)} rows"
        for name, rows in zip(names, missing.T, strict=True)
        if any(rows)
    }


def _deviation(reading, expected, source):
    distance = reading - expected
    if np.isnan(distance):
        return f"at {number(reading, reading)}"
    # To three digits of what matters, the distance.
    far, usual = number(abs(distance), distance), number(expected, distance)
    if distance == 0:
        return f"as {source}, {number(expected, expected)}"
    return f"{far} {'above' if distance > 0 else 'below'} {source} {usual}"
