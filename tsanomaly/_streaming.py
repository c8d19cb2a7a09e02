# SPDX-License-Identifier: MIT
from collections.abc import Mapping
from copy import deepcopy
from datetime import datetime
from numbers import Integral
from typing import NamedTuple

import numpy as np
from sklearn.utils import check_scalar
from sklearn.utils.validation import check_is_fitted

from tsanomaly._alarm_filter import AlarmFilter
from tsanomaly._attribution import channel_errors
from tsanomaly._features import in_zone
from tsanomaly._inspection import check_detector, fitted_steps
from tsanomaly._stream_alarms import StreamAlarms
from tsanomaly._stream_explanation import explain_rows, in_context
from tsanomaly._stream_plan import TIME, StreamPlan
from tsanomaly._time_order import warn_if_unordered
from tsanomaly._validation import check_columns, unmasked

__all__ = ["StreamingDetector"]


class _Scored(NamedTuple):
    """What is said of new rows, and what a stream is after them."""

    scores: np.ndarray  # (n_rows,)
    flags: np.ndarray  # (n_rows,)
    pieces: list  # stretches between breaks, as they were scored
    alarms: StreamAlarms | None
    kept: tuple  # the last stretch and its times


class StreamingDetector:
    """Score one reading at a time.

    Wraps a fitted detector, or a pipeline that ends in one, and keeps the last rows
    that the next score depends on, no more. Scores and flags are those that the
    detector would give to the series so far, from its first row on.

    Parameters
    ----------
    detector : estimator
        A fitted outlier detector of this library or of scikit-learn, or a pipeline that
        ends in one. It is neither copied nor changed; if it is fitted again, make a new
        stream. All its steps have to be causal. A step of another library says how many
        rows it needs in its attributes ``n_context_`` and ``n_lookahead_``.

    alarm_filter : AlarmFilter or None, default=None
        Find alarms, which `alarms` returns: the same as
        ``explain(detector, X, alarm_filter=alarm_filter)`` for all rows so far. It
        costs little but in rows above the threshold, in which the channels are found.
        Rows without any reading that a step gives values to, as an imputer does, are
        breaks to `explain` and rows as any other here.

    Attributes
    ----------
    detector : estimator
        The detector.

    alarm_filter : AlarmFilter or None
        The filter.

    n_context_ : int
        Rows before a row that its score depends on: as many are kept, at most.

    feature_names_in_ : ndarray of shape (n_channels,)
        Names of the channels, if the detector was fitted on a frame with string column
        names.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If `detector` is not fitted.
    ValueError
        If a step looks ahead, or does not say how many rows it needs; the message names
        it. If `detector` has no scores, or no threshold; with an `alarm_filter` also
        if it does not have a ``median_error_``.

    See Also
    --------
    save : Save a stream, together with the rows it keeps.
    LSTMAutoencoderDetector : Its causal rules are 'multiscale', 'last', 'window_mean'.

    Notes
    -----
    Scores are equal to those of the whole series within 1e-5, relatively, and flags are
    equal wherever the decision function is further than that from 0.

    A row that is NaN in every channel is a break: it has no score but NaN, is not
    flagged, and the row after it is treated like a first row. Send one where readings
    are missing for so long that what follows has nothing to do with what was before.
    Only if a step gives such rows values, as an imputer does, they are rows as any
    other. NaN in some of the channels is treated, or refused, as by the detector.

    Rows are taken in the order in which they arrive; times are looked at by calendar
    features only. For those, pass rows as Series whose name is the time, as in
    ``frame.iloc[-1]``, or frames with a DatetimeIndex.

    If a call raises an error, the stream is as it was before.

    A stream can be pickled or saved at any time, and goes on where it was. A network is
    compiled when a stream is made, which takes seconds the first time, and again with
    the first row after loading in another process.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import IsolationForest
    >>> from sklearn.pipeline import make_pipeline
    >>> from tsanomaly import StreamingDetector, WindowTransformer
    >>> X = np.random.default_rng(0).normal(size=(500, 2))
    >>> detector = make_pipeline(
    ...     WindowTransformer(3), IsolationForest(contamination=0.01, random_state=0)
    ... ).fit(X)
    >>> stream = StreamingDetector(detector).warm_up(X[-2:])
    >>> score, is_anomaly = stream.update([0.1, -0.2])
    >>> is_anomaly
    False
    >>> scores, flags = stream.update_many([[0.0, 0.1], [9.0, 8.0], [9.0, 9.0]])
    >>> bool(flags[0]), bool(flags[-1])
    (False, True)
    """

    def __init__(self, detector, alarm_filter=None):
        check_is_fitted(detector)
        check_detector(detector, "detector")
        if not isinstance(alarm_filter, AlarmFilter | None):
            raise TypeError(
                f"alarm_filter must be an AlarmFilter or None, got {alarm_filter!r}."
            )
        self.detector = detector
        self.alarm_filter = alarm_filter
        self._plan = None
        self._prepare()
        self.reset()

    def update(self, row, *, explain=False, n_channels=3):
        """Score the next row.

        Parameters
        ----------
        row : array-like of shape (n_channels,), Series or dict
            Readings of all channels. A dict goes by the names of the channels, and so
            does a Series, in any order, if the detector knows them.
        explain : bool, default=False
            Whether to say, too, where the error of the row comes from.
        n_channels : int, default=3
            How many channels an explanation names, at most.

        Returns
        -------
        score : float
            As from ``detector.score_samples``, or ``decision_function`` if there is no
            such method: the lower, the more abnormal. NaN at a break.
        is_anomaly : bool
            Whether the detector flags the row; False at a break.
        explanation : dict or None
            With `explain`: the lists ``channels``, ``shares`` (of the error),
            ``readings`` and ``expected``, the channel with the largest share first.
            Split and expected as by :func:`explain`, from the row and those that the
            stream keeps: where channels are found by occlusion, or nothing is
            reconstructed, a stream that keeps few rows knows little of what is usual,
            and names no channel if it keeps none. None at a break.

        Raises
        ------
        TypeError
            If `n_channels` is no integer.
        ValueError
            If the row has other channels than the detector, holds anything but numbers,
            or the detector refuses its values; if `n_channels` is not positive.
        """
        check_scalar(n_channels, "n_channels", Integral, min_val=1)
        values, time = self._read_row(row)
        scored = self._score(values[None], np.array([time], dtype=TIME))
        found = float(scored.scores[0]), bool(scored.flags[0])
        if explain:
            explained = self._explained(scored, np.array([0]), n_channels)
            found = *found, (explained[0] if explained else None)
        self._take(scored)
        return found

    def update_many(self, rows):
        """Score the next rows.

        Parameters
        ----------
        rows : array-like of shape (n_timestamps, n_channels)
            Rows in time order, or a list of such rows as `update` takes.

        Returns
        -------
        scores : ndarray of shape (n_timestamps,)
            As from `update`, one row at a time.
        flags : ndarray of shape (n_timestamps,), dtype=bool
            Whether the detector flags each row.

        Raises
        ------
        ValueError
            As from `update`; then none of the rows is taken.
        """
        scored = self._score(*self._read_rows(rows))
        self._take(scored)
        return scored.scores, scored.flags

    def warm_up(self, X):
        """Take rows without scoring them, as context of those to come.

        An alarm that is on ends, as at a break. The rows are not counted.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            Rows in time order, as for `update_many`. Only the last `n_context_` of them
            make a difference.

        Returns
        -------
        self : StreamingDetector
            The stream.

        Raises
        ------
        ValueError
            If the rows have other channels than the detector, hold anything but
            numbers, or the detector refuses values of those that are kept.
        """
        rows, times = self._read_rows(X)
        pieces = list(self._pieces(rows, times))
        if pieces:
            rows, times, _ = pieces[-1]
            if len(rows):
                context = _last(rows, times, self.n_context_ + 1)
                self._prepare().run(*context, 1)
            self._keep(rows, times)
            if self._alarms is not None:
                self._alarms = self._alarms.interrupted()
        return self

    def accept_new_normal(self, X):
        """Take the level of other rows for normal, without training again.

        The stream goes on with a copy of its detector.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            Normal rows since the change, a whole cycle of the machine.

        Returns
        -------
        self : StreamingDetector
            The stream.

        Raises
        ------
        AttributeError
            If no step of the detector has this method.
        ValueError
            As from the method of that step.
        """
        rows, times = self._read_rows(X)
        detector = deepcopy(self.detector)
        Z = self._prepare().as_given(rows, times)
        for step in fitted_steps(detector):
            if hasattr(step, "accept_new_normal"):
                step.accept_new_normal(Z)
                self.detector, self._plan = detector, None
                return self
            Z = step.transform(Z) if hasattr(step, "transform") else Z
        raise AttributeError(
            f"No step of {self.detector!r} has accept_new_normal. Fit it again."
        )

    def reset(self):
        """Forget all rows: the next one is treated like a first row."""
        width = self._prepare().width or 0
        # Of the smallest type, so that the first rows determine it.
        self._rows = np.empty((0, width), dtype=np.float32)
        self._times = np.empty(0, dtype=TIME)
        self._alarms = None
        if self.alarm_filter is not None:
            threshold = self._prepare().threshold
            self._alarms = StreamAlarms(self.alarm_filter, self.detector, threshold)

    def alarms(self, n_channels=3):
        """Return the alarms so far.

        Parameters
        ----------
        n_channels : int, default=3
            How many channels of an alarm to name, at most.

        Returns
        -------
        alarms : DataFrame
            One row per alarm, in time order, of the last 1,000 since the stream was
            made or reset: ``start``, ``end``, ``raised``, ``peak``, ``score``,
            ``severity``, ``priority``, ``state``, ``channels`` and ``shares``, as from
            :func:`explain`. The state of the last one is 'active' if it is not over.
            Rows are told by their times, without a zone, or by numbers from 0 on if
            they came without times. Channels are named where the detector gives errors
            of channels.

        Raises
        ------
        AttributeError
            If the stream has no `alarm_filter`.
        TypeError, ValueError
            If `n_channels` is not a positive integer.
        """
        if self._alarms is None:
            raise AttributeError(
                f"This {type(self).__name__} has no alarm_filter, and so no alarms. "
                "Make it with alarm_filter=AlarmFilter()."
            )
        check_scalar(n_channels, "n_channels", Integral, min_val=1)
        names = self._channel_names(self._rows.shape[1])
        return self._alarms.table(names, n_channels)

    @property
    def n_context_(self):
        """Rows before a row that its score depends on.

        Returns
        -------
        n_context : int
            As many are kept, at most.
        """
        return self._prepare().n_context

    @property
    def feature_names_in_(self):
        """Names of the channels.

        Returns
        -------
        names : ndarray of shape (n_channels,)
            As the detector has them.
        """
        names = self._prepare().names
        if names is None:
            raise AttributeError(
                f"The {type(self).__name__} has no feature_names_in_: its detector was "
                "fitted without names of channels."
            )
        return names

    def __repr__(self):
        return f"{type(self).__name__}({self.detector!r})"

    def __getstate__(self):
        return {**vars(self), "_plan": None}  # compiled code is no state

    def _prepare(self):
        if self._plan is None:
            self._plan = StreamPlan(self.detector)
        return self._plan

    def _score(self, rows, times):
        """What is to be said of new rows; the stream stays as it is."""
        scores, flags = np.full(len(rows), np.nan), np.zeros(len(rows), dtype=bool)
        end, pieces = 0, []
        kept, kept_times = self._rows, self._times
        for kept, kept_times, n_new in self._pieces(rows, times):
            start, end = end, end + n_new
            if n_new:
                plan = self._prepare()
                found = plan.run(kept, kept_times, n_new)
                scores[start:end], flags[start:end] = found
                pieces.append((start, kept, kept_times, n_new))
            end += 1  # the break, if another piece follows
        alarms = self._alarms
        if alarms is not None:

            def contributions_at(positions):
                return self._contributions(pieces, positions)

            alarms = alarms.extended(-scores, times, contributions_at)
        return _Scored(scores, flags, pieces, alarms, (kept, kept_times))

    def _take(self, scored):
        """Go on after rows that were scored."""
        self._alarms = scored.alarms
        if len(scored.scores):
            self._keep(*scored.kept)

    def _explained(self, scored, positions, n_channels):
        """Explanations of some of the rows, those that have a score."""
        found = []
        as_given = self._prepare().as_given
        for X, rows, normal in in_context(scored, positions, as_given):
            names = self._channel_names(X.shape[1])
            found += explain_rows(self.detector, X, rows, normal, names, n_channels)
        return found

    def _channel_names(self, width):
        names = self._prepare().names
        return list(range(width)) if names is None else list(names)

    def _contributions(self, pieces, positions):
        """Contributions of the channels to the errors of some of the new rows."""
        found = []
        for start, rows, times, n_new in pieces:
            inside = positions[(positions >= start) & (positions < start + n_new)]
            if len(inside):
                X = self._prepare().as_given(rows, times)
                inside = inside - start + len(rows) - n_new
                normal = np.zeros(len(rows), dtype=bool)
                found.append(channel_errors(self.detector, X, inside, normal))
        return None if any(part is None for part in found) else np.concatenate(found)

    def _pieces(self, rows, times):
        """Split new rows at breaks.

        Yields
        ------
        rows, times : ndarray
            New rows up to a break, or the last one, after those that the stream keeps.
        n_new : int
            How many are new, maybe none.
        """
        if not len(rows):
            return
        before = self._rows, self._times
        start = 0
        for end in (*np.flatnonzero(self._breaks(rows)), len(rows)):
            piece = (
                np.concatenate([before[0].reshape(-1, rows.shape[1]), rows[start:end]]),
                np.concatenate([before[1], times[start:end]]),
            )
            yield *piece, end - start
            before = rows[:0], times[:0]
            start = end + 1

    def _breaks(self, rows):
        if self._prepare().fills_breaks:
            return np.zeros(len(rows), dtype=bool)
        return np.isnan(rows).all(axis=1)

    def _keep(self, rows, times):
        rows, times = _last(rows, times, self.n_context_)
        self._rows, self._times = rows.copy(), times.copy()  # not a view of more

    def _read_row(self, row):
        """Readings and time of one row, as the user gave it."""
        time = None
        if isinstance(row, Mapping):
            names = self._prepare().names
            if names is None:
                raise ValueError(
                    "The row is a dict, and the detector was fitted without names of "
                    "channels. Pass a list of readings, in the order of the columns "
                    "in fit, or fit on a frame with string column names."
                )
            self._check_names(list(row))
            row = [row[name] for name in names]
        elif hasattr(row, "iloc") and not hasattr(row, "columns"):  # a Series
            if isinstance(row.name, datetime):
                time = _wall_time([row.name], self._prepare().zone)[0]
            row = self._in_order(row, row.index)
        values = _to_floats(row, 1)
        self._check_width(len(values))
        return values, time if time is not None else np.datetime64("NaT")

    def _read_rows(self, X):
        """Readings and times of many rows."""
        if isinstance(X, (list, tuple)) and any(
            isinstance(row, Mapping) or hasattr(row, "iloc") for row in X
        ):
            rows, times = zip(*map(self._read_row, X), strict=True)
            return np.stack(rows), np.array(times, dtype=TIME)
        times = None
        if hasattr(X, "iloc") and hasattr(X, "columns"):
            check_columns(X, type(self).__name__)
            warn_if_unordered(X, self)
            if hasattr(X.index, "tz_localize"):
                times = _wall_time(X.index, self._prepare().zone)
            X = self._in_order(X, X.columns)
        values = _to_floats(X, 2)
        self._check_width(values.shape[1] if len(values) else None)
        if times is None:
            times = np.full(len(values), "NaT", dtype=TIME)
        return values, times

    def _in_order(self, labelled, labels):
        """Readings in the order of the channels, if the detector knows their names."""
        names = self._prepare().names
        if names is not None and list(labels) != list(names):
            self._check_names(list(labels))
            labelled = labelled[list(names)]
        return labelled

    def _check_names(self, given):
        names = list(self._prepare().names)
        if len(given) == len(set(given)) and set(given) == set(names):
            return
        missing = [name for name in names if name not in given]
        unknown = [name for name in given if name not in names]
        twice = [name for name in names if given.count(name) > 1]
        raise ValueError(
            "The names of the readings are not those of the channels in fit: "
            + "; ".join(
                f"{what} {', '.join(map(repr, which[:5]))}"
                for what, which in (
                    ("missing", missing),
                    ("unknown", unknown),
                    ("twice", twice),
                )
                if which
            )
            + ". Pass every channel once; one that has no reading as NaN."
        )

    def _check_width(self, width):
        expected = self._prepare().width or self._rows.shape[1] or width
        if width is not None and width != expected:
            raise ValueError(
                f"The detector expects {expected} channels, got {width} readings to a "
                "row. Pass all channels in the order of fit; one that has no reading "
                "as NaN."
            )


def _last(rows, times, n):
    start = max(len(rows) - n, 0)
    return rows[start:], times[start:]


def _wall_time(times, zone):
    """Times without their zone, which is that of training where a calendar counts."""
    import pandas as pd

    index = in_zone(pd.DatetimeIndex(times), zone)
    return index.tz_localize(None).as_unit("ns").to_numpy()


def _to_floats(values, n_dimensions):
    """Readings as float32 if they are, as float64 otherwise."""
    values = unmasked(values)
    wanted = ("a row: (n_channels,)", "rows: (n_timestamps, n_channels)")
    try:
        array = np.asarray(values)
    except ValueError as error:  # rows of different lengths
        raise ValueError(
            f"The readings are no array ({error}). Pass as many for every row."
        ) from error
    if n_dimensions == 2 and array.shape == (0,):
        array = array.reshape(0, 0)
    if array.ndim != n_dimensions:
        raise ValueError(
            f"Expected the shape of {wanted[n_dimensions - 1]}, got {array.shape}"
            + (f" of {type(values).__name__}" if array.ndim == 0 else "")
            + ". A single row goes to update, several to update_many or warm_up."
        )
    if array.dtype.kind == "O":
        import pandas as pd

        if not any(isinstance(value, (str, bytes)) for value in array.flat):
            array = np.where(pd.isna(array), np.nan, array)
            try:
                return array.astype(np.float64)
            except (TypeError, ValueError):
                pass
    elif array.dtype.kind in "biuf":
        return array if array.dtype == np.float32 else array.astype(np.float64)
    given = np.asarray(values, dtype=object).ravel()  # before numpy made all of it text
    wrong = next((v for v in given if isinstance(v, (str, bytes))), given[0])
    raise ValueError(
        f"Readings must be numbers, got {wrong!r} (dtype {array.dtype}). Encode "
        "categories as numbers, and pass what is missing as NaN."
    )
