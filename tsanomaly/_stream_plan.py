# SPDX-License-Identifier: MIT
"""Precomputed plan of a stream to score its last rows."""

from copy import copy

import numpy as np
from scipy.sparse import issparse
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    RobustScaler,
    StandardScaler,
)

from tsanomaly._context import get_context
from tsanomaly._features import zone_of_training
from tsanomaly._inspection import fitted_steps, offset_of, score_method
from tsanomaly._means_by_length import mean_of_known
from tsanomaly._sklearn_compat import output_container

__all__ = ["TIME", "StreamPlan"]

_SCALERS = (MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler)

# Type of the times of rows. NaT if the user passed none.
TIME = np.dtype("datetime64[ns]")


class StreamPlan:
    """Plan to score the last rows of a piece. A stream prepares it once.

    Parameters
    ----------
    detector : estimator
        A fitted detector.
    threshold : float or None, default=None
        Threshold of the errors. None uses that of the detector.
    is_utc : bool, default=False
        Whether times without a zone are in UTC. Otherwise, they are in the zone of
        training.
    """

    def __init__(self, detector, *, threshold=None, is_utc=False):
        steps = fitted_steps(detector)
        contexts = []
        for step in steps:
            context = get_context(step)
            if context.n_lookahead:
                raise ValueError(
                    f"{step!r} looks ahead: its result for a row depends on "
                    f"{context.n_lookahead} later rows, which a stream does not have "
                    "yet. Use a causal rule, for example row_error='multiscale'."
                )
            contexts.append(context.n_context)
        last = steps[-1]
        if not (hasattr(last, "decision_function") or hasattr(last, "offset_")):
            raise ValueError(
                f"{last!r} has neither offset_ nor decision_function, so its threshold "
                "is unknown. Wrap it in a ScoreTransformer followed by a "
                "ReconstructionThreshold."
            )
        self._score_method = score_method(last)
        self._other_threshold = threshold
        self.threshold = 0.0  # of the errors, the opposites of scores
        if threshold is not None:
            self.threshold = threshold
        elif self._score_method == "score_samples":
            offset = offset_of(last)
            self.threshold = None if offset is None else -offset
        self.n_context = sum(contexts)
        self.width = getattr(steps[0], "n_features_in_", None)
        self.names = getattr(steps[0], "feature_names_in_", None)
        self.zone = zone_of_training(steps[0])
        self._is_utc = is_utc
        # Number of earlier rows that each step and the following ones depend on.
        reach = np.cumsum(contexts[::-1])[::-1].tolist()
        self._steps = list(zip(map(_without_names, steps), reach, strict=True))
        # Steps that can compute the errors of a row without those of its context.
        self._last_row_errors = {
            position: of_last
            for position, step in enumerate(steps)
            if hasattr(step, "_make_last_row_errors")
            and reach[position] == contexts[position]
            and (of_last := step._make_last_row_errors()) is not None
        }
        self.fills_breaks = self._fills_breaks()

    def run(self, rows, times, n):
        """Score and flag the last rows.

        Parameters
        ----------
        rows : ndarray of shape (n_timestamps, n_channels)
            Rows of one stretch, with all available context.
        times : ndarray of shape (n_timestamps,)
            Times of the rows, or NaT.
        n : int
            Number of rows to score.

        Returns
        -------
        scores, flags : ndarray of shape (n,)
        """
        Z = self._transform(rows, times, n)
        position = len(self._steps) - 1
        step, reach = self._steps[position]
        Z = Z[max(Z.shape[0] - n - reach, 0) :]
        errors = self._errors_of_last(position, Z, times, n)
        if errors is not None:
            scores = decision = -mean_of_known(errors, axis=1)
        else:
            Z = self._named(position, Z, times)
            scores = decision = getattr(step, self._score_method)(Z)
        if self._other_threshold is not None:
            decision = scores + self._other_threshold
        elif self._score_method == "score_samples":
            offset = offset_of(step)
            if offset is not None:
                decision = scores - offset
            else:
                decision = step.decision_function(Z)
        return _last_of(scores, n), _last_of(decision, n) < 0

    def _transform(self, Z, times, n):
        """Transform rows with all steps except the last."""
        for position, (step, reach) in enumerate(self._steps[:-1]):
            Z = Z[max(Z.shape[0] - n - reach, 0) :]
            errors = self._errors_of_last(position, Z, times, n)
            if errors is None:
                errors = step.transform(self._named(position, Z, times))
            Z = errors
        return Z

    def _errors_of_last(self, position, Z, times, n):
        """Return the errors of the last rows if a step can skip those of the context.

        Return None for other steps. The steps after such a step are row-wise.
        """
        of_last = self._last_row_errors.get(position)
        if of_last is None:
            return None
        if n == 1:
            return of_last(Z)
        Z = self._named(position, Z, times)
        rows = np.arange(max(Z.shape[0] - n, 0), Z.shape[0])
        return self._steps[position][0]._transform_at(Z, rows)

    def _named(self, position, Z, times):
        """Return rows with the names and times that a step received in `fit`."""
        step, _ = self._steps[position]
        names = getattr(step, "feature_names_in_", None)
        index = None
        if position == 0 and not _is_plain_scaler(step):
            index = self._local(times[len(times) - Z.shape[0] :])
        return _to_frame(Z, names, index)

    def as_given(self, rows, times):
        """Return rows in the form that the detector received in `fit`."""
        return _to_frame(rows, self.names, self._local(times))

    def _local(self, times):
        """Convert times from UTC to the zone of training, if necessary."""
        if not self._is_utc or self.zone is None or times is None:
            return times
        import pandas as pd

        index = pd.DatetimeIndex(times).tz_localize("UTC").tz_convert(self.zone)
        return index.tz_localize(None).as_unit("ns").to_numpy()

    def _fills_breaks(self):
        """Whether a step gives values to a row that is NaN in every channel."""
        if self.width is None or len(self._steps) == 1:
            return False
        row = np.full((1, self.width), np.nan)
        try:
            Z = self._transform(row, np.array(["2000-01-01"], dtype=TIME), 1)
        # A step that raises any error does not fill the row.
        except Exception:
            return False
        import pandas as pd

        return issparse(Z) or not pd.isna(np.asarray(Z)).all()


def _to_frame(Z, names, times):
    """Return rows as a frame with names and times, if there are any."""
    index = None if times is None or np.isnat(times).all() else times
    if not isinstance(Z, np.ndarray) or (names is None and index is None):
        return Z
    import pandas as pd

    index = None if index is None else pd.DatetimeIndex(index)
    return pd.DataFrame(Z, index=index, columns=names, copy=False)


def _is_plain_scaler(step):
    """Whether a step is a scaler of scikit-learn that returns arrays."""
    return type(step) in _SCALERS and output_container(step) == "default"


def _without_names(step):
    """Return a copy of a scaler that accepts arrays, or any other step unchanged.

    Checking the columns of a frame takes longer than scoring a row with a network.
    """
    if _is_plain_scaler(step):
        step = copy(step)
        vars(step).pop("feature_names_in_", None)
    return step


def _last_of(values, n):
    values = np.asarray(values, dtype=np.float64).reshape(-1)
    return values[len(values) - n :]
