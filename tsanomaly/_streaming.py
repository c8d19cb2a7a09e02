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
from tsanomaly._context import get_context
from tsanomaly._features import in_zone
from tsanomaly._inspection import check_detector, fitted_steps
from tsanomaly._stream_alarms import StreamAlarms
from tsanomaly._stream_explanation import explain_rows, in_context
from tsanomaly._stream_plan import TIME, StreamPlan
from tsanomaly._time_order import warn_if_unordered
from tsanomaly._validation import check_columns, unmasked

__all__ = ["StreamingDetector", "continue_with"]


class _Scored(NamedTuple):
    """Results for new rows, and the state of the stream after them."""

    scores: np.ndarray  # (n_rows,)
    flags: np.ndarray  # (n_rows,)
    pieces: list  # stretches between breaks
    alarms: StreamAlarms | None
    kept: tuple  # the last stretch and its times


class StreamingDetector:
    """Score readings one row at a time.

    The stream wraps a fitted detector, or a pipeline that ends in one, and keeps only
    the rows that the next score depends on. Scores and flags equal those of the
    detector on the whole series received so far.

    Parameters
    ----------
    detector : estimator
        A fitted outlier detector of this library or scikit-learn, or a pipeline that
        ends in one. It is neither copied nor modified; create a new stream after
        refitting it. All its steps must be causal. A step of another library must
        define ``n_context_`` and ``n_lookahead_``.

    alarm_filter : AlarmFilter or None, default=None
        Filter for alarms, which are returned by `alarms`. They equal those of
        ``explain(detector, X, alarm_filter=alarm_filter)`` on all rows received so far,
        except that no channels are named where `explain` has to replace readings by
        normal ones (``attribution="occlusion"``), which a stream does not keep.
        Attribution to channels adds some time for rows above the threshold. If a step
        such as an imputer fills rows without readings, these rows are ordinary rows
        here, but breaks in `explain`.

    Attributes
    ----------
    detector : estimator
        The detector.

    alarm_filter : AlarmFilter or None
        The filter.

    n_context_ : int
        Number of earlier rows that a score depends on, and maximum number of rows kept.

    feature_names_in_ : ndarray of shape (n_channels,)
        Names of the channels. Defined only if the detector was fitted on a frame with
        string column names.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If `detector` is not fitted.
    ValueError
        If a step looks ahead, or its context is unknown. If `detector` has no scores or
        no threshold or, with an `alarm_filter`, no ``median_error_``.

    See Also
    --------
    save : Save a stream with the rows it keeps.
    LSTMAutoencoderDetector : Detector with the causal rules 'multiscale', 'last' and
        'window_mean'.

    Notes
    -----
    Scores equal those of the whole series within a relative tolerance of 1e-5. Flags
    are equal wherever the decision function is further than that from 0. Scores by rank
    among training rows, as of :class:`ScoreTransformer` by default, may differ more
    where training scores nearly coincide.

    A row that is NaN in every channel is a break: its score is NaN, it is not flagged,
    and the row after it is treated like the first row of a series. Send a break after
    an interruption that is so long that later rows are unrelated to earlier ones. If a
    step such as an imputer fills these rows, they are ordinary rows. NaN in single
    channels is handled by the detector.

    Rows are processed in the order of arrival. Only calendar features use times; for
    them, pass each row as a Series whose name is its time, as in ``frame.iloc[-1]``, or
    pass frames with a DatetimeIndex.

    If a call raises an error, the stream is unchanged.

    A stream can be pickled or saved at any time and then continued. A network is
    compiled when the stream is created, which takes seconds the first time, and again
    for the first row after loading in another process.

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
            Readings of all channels. The keys of a dict are channel names. A Series is
            matched by name if the detector was fitted with names.
        explain : bool, default=False
            Whether to attribute the error of the row to channels.
        n_channels : int, default=3
            Maximum number of channels in the explanation.

        Returns
        -------
        score : float
            Score of the row, as from ``detector.score_samples`` or, without that
            method, ``decision_function``. The lower, the more abnormal. NaN at a break.
        is_anomaly : bool
            Whether the detector flags the row. False at a break.
        explanation : dict or None
            Only with ``explain=True``: the lists ``channels``, ``shares`` (of the
            error), ``readings`` and ``expected``, with the largest share first.
            Attribution and expected readings are those of :func:`explain`, based on the
            row and the rows that the stream keeps. Attribution by occlusion is thus
            less accurate if the stream keeps few rows, and names no channel if it keeps
            none. None at a break.

        Raises
        ------
        TypeError
            If `n_channels` is not an integer.
        ValueError
            If the channels of the row differ from those of the detector, the row has
            values that are not numbers, the detector rejects its values, or
            `n_channels` is not positive.
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
            Rows in time order, or a list of rows as in `update`.

        Returns
        -------
        scores : ndarray of shape (n_timestamps,)
            Scores as in `update`.
        flags : ndarray of shape (n_timestamps,), dtype=bool
            Whether the detector flags each row.

        Raises
        ------
        ValueError
            As in `update`. None of the rows is then processed.
        """
        scored = self._score(*self._read_rows(rows))
        self._take(scored)
        return scored.scores, scored.flags

    def warm_up(self, X):
        """Add rows without scoring them, as context for later rows.

        An active alarm ends, as at a break. The rows are not counted.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            Rows in time order, as in `update_many`. Only the last `n_context_` of them
            are used.

        Returns
        -------
        self : StreamingDetector
            The stream.

        Raises
        ------
        ValueError
            If the channels of the rows differ from those of the detector, the rows have
            values that are not numbers, or the detector rejects their values.
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
        """Adopt the mean level of new rows as normal, without retraining.

        The stream continues with a modified copy of its detector, and forgets earlier
        rows that only the baseline of a detector needs.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            Normal rows since the change, at least one full operating cycle.

        Returns
        -------
        self : StreamingDetector
            The stream.

        Raises
        ------
        AttributeError
            If no step of the detector has this method.
        ValueError
            If the method of the step raises.
        """
        rows, times = self._read_rows(X)
        detector = deepcopy(self.detector)
        Z = self._prepare().as_given(rows, times)
        for step in fitted_steps(detector):
            if hasattr(step, "accept_new_normal"):
                step.accept_new_normal(Z)
                continue_with(self, detector)
                return self
            Z = step.transform(Z) if hasattr(step, "transform") else Z
        raise AttributeError(
            f"No step of {self.detector!r} has accept_new_normal. Refit the detector."
        )

    def reset(self):
        """Forget all rows. The next one is treated like the first row of a series."""
        width = self._prepare().width or 0
        # float32, so that the first rows determine the type.
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
            Maximum number of channels per alarm.

        Returns
        -------
        alarms : DataFrame
            One row per alarm, in time order, for the last 1,000 alarms since the stream
            was created or reset. The columns are ``start``, ``end``, ``raised``,
            ``peak``, ``score``, ``severity``, ``priority``, ``state``, ``channels`` and
            ``shares``, as in :func:`explain`. The state of the last alarm is 'active'
            until it is cleared. Rows are labelled by their times (without time zone)
            or, if they have no times, by numbers starting at 0. Channels are named if
            the detector returns errors per channel.

        Raises
        ------
        AttributeError
            If the stream has no `alarm_filter`.
        TypeError, ValueError
            If `n_channels` is not a positive integer.
        """
        if self._alarms is None:
            raise AttributeError(
                f"This {type(self).__name__} has no alarm_filter, and therefore no "
                "alarms. Create it with alarm_filter=AlarmFilter()."
            )
        check_scalar(n_channels, "n_channels", Integral, min_val=1)
        names = self._channel_names(self._rows.shape[1])
        return self._alarms.table(names, n_channels)

    @property
    def n_context_(self):
        """Number of earlier rows that a score depends on.

        Returns
        -------
        n_context : int
            Also the maximum number of rows kept.
        """
        return self._prepare().n_context

    @property
    def feature_names_in_(self):
        """Names of the channels.

        Returns
        -------
        names : ndarray of shape (n_channels,)
            Names seen by the detector during `fit`.
        """
        names = self._prepare().names
        if names is None:
            raise AttributeError(
                f"The {type(self).__name__} has no feature_names_in_, because its "
                "detector was fitted without channel names."
            )
        return names

    def __repr__(self):
        return f"{type(self).__name__}({self.detector!r})"

    def __getstate__(self):
        return {**vars(self), "_plan": None}  # compiled code is not part of the state

    def _prepare(self):
        if self._plan is None:
            self._plan = StreamPlan(self.detector)
        return self._plan

    def _score(self, rows, times):
        """Score new rows without changing the stream."""
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
            end += 1  # skip the break, if another piece follows
        alarms = self._alarms
        if alarms is not None:

            def contributions_at(positions):
                return self._contributions(pieces, positions)

            alarms = alarms.extended(-scores, times, contributions_at)
        return _Scored(scores, flags, pieces, alarms, (kept, kept_times))

    def _take(self, scored):
        """Update the state after rows that were scored."""
        self._alarms = scored.alarms
        if len(scored.scores):
            self._keep(*scored.kept)

    def _explained(self, scored, positions, n_channels):
        """Explain those of the given rows that have a score."""
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
        """Return the contributions of the channels to the errors of some new rows."""
        found = []
        for start, rows, times, n_new in pieces:
            inside = positions[(positions >= start) & (positions < start + n_new)]
            if len(inside):
                X = self._prepare().as_given(rows, times)
                inside = inside - start + len(rows) - n_new
                # The rows that are kept may be those of the fault: no substitutes.
                found.append(channel_errors(self.detector, X, inside, normal=None))
        return None if any(part is None for part in found) else np.concatenate(found)

    def _pieces(self, rows, times):
        """Split new rows at breaks.

        Yields
        ------
        rows, times : ndarray
            Rows kept by the stream, followed by new rows up to the next break or the
            end.
        n_new : int
            Number of new rows, possibly 0.
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
        self._rows, self._times = rows.copy(), times.copy()  # not views

    def _read_row(self, row):
        """Return the readings and the time of one row passed by the user."""
        time = None
        if isinstance(row, Mapping):
            names = self._prepare().names
            if names is None:
                raise ValueError(
                    "The row is a dict, but the detector was fitted without channel "
                    "names. Pass a list of readings in the column order of fit, or "
                    "fit on a frame with string column names."
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
        """Return the readings and times of several rows."""
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
        """Return readings in the order of the channels, if these have names."""
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
            "The names of the readings differ from the channels seen during fit: "
            + "; ".join(
                f"{what} {', '.join(map(repr, which[:5]))}"
                for what, which in (
                    ("missing", missing),
                    ("unknown", unknown),
                    ("twice", twice),
                )
                if which
            )
            + ". Pass every channel once, with NaN for a missing reading."
        )

    def _check_width(self, width):
        expected = self._prepare().width or self._rows.shape[1] or width
        if width is not None and width != expected:
            raise ValueError(
                f"The detector expects {expected} channels, got {width} readings per "
                "row. Pass all channels in the order of fit, with NaN for a missing "
                "reading."
            )


def continue_with(stream, detector):
    """Make a stream use a copy of its detector with another normal level.

    Drop the rows that only a baseline needs, which may be from before the change.
    """
    stream.detector, stream._plan = detector, None
    n_kept = get_context(detector).n_start_up
    stream._keep(*_last(stream._rows, stream._times, n_kept))


def _last(rows, times, n):
    start = max(len(rows) - n, 0)
    return rows[start:], times[start:]


def _wall_time(times, zone):
    """Convert times to a zone, if both have one, and return them without zone."""
    import pandas as pd

    index = in_zone(pd.DatetimeIndex(times), zone)
    return index.tz_localize(None).as_unit("ns").to_numpy()


def _to_floats(values, n_dimensions):
    """Convert readings to float64, unless they are float32."""
    values = unmasked(values)
    wanted = ("a row: (n_channels,)", "rows: (n_timestamps, n_channels)")
    try:
        array = np.asarray(values)
    except ValueError as error:  # rows of different lengths
        raise ValueError(
            f"The readings do not form an array ({error}). Pass the same number of "
            "readings for every row."
        ) from error
    if n_dimensions == 2 and array.shape == (0,):
        array = array.reshape(0, 0)
    if array.ndim != n_dimensions:
        raise ValueError(
            f"Expected the shape of {wanted[n_dimensions - 1]}, got {array.shape}"
            + (f" of {type(values).__name__}" if array.ndim == 0 else "")
            + ". Pass a single row to update, several to update_many or warm_up."
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
    given = np.asarray(values, dtype=object).ravel()  # numpy may convert all to text
    wrong = next((v for v in given if isinstance(v, (str, bytes))), given[0])
    raise ValueError(
        f"Readings must be numbers, got {wrong!r} (dtype {array.dtype}). Encode "
        "categories as numbers, and pass NaN for missing readings."
    )
