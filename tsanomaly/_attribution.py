# SPDX-License-Identifier: MIT
"""Attribution of the errors of rows to channels, and expected readings."""

import numpy as np
from sklearn.base import OneToOneFeatureMixin
from sklearn.pipeline import FeatureUnion

from tsanomaly._calibration import relative_errors
from tsanomaly._context import get_context, rows_with_context
from tsanomaly._hybrid import HybridDetector
from tsanomaly._inspection import (
    detector_errors,
    fitted_steps,
    results_at,
    results_by_block,
)
from tsanomaly._means_by_length import mean_of_known
from tsanomaly._progress import counting
from tsanomaly._residual_detector import ResidualDetector
from tsanomaly._score_transformer import ScoreTransformer
from tsanomaly._sklearn_compat import _safe_indexing
from tsanomaly._threshold import ReconstructionThreshold
from tsanomaly._validation import as_series
from tsanomaly._window_transformer import WindowTransformer

__all__ = [
    "channel_errors",
    "expected_readings",
    "normalise",
    "occlude",
    "score_channels",
]

# Number of stretches of normal readings that occlusion tries.
_STRETCHES = 8

# Maximum number of values of rows processed together. Windows of many channels have
# thousands of columns, whose errors would take gigabytes.
_MOST_VALUES = 2**24


def channel_errors(detector, X, rows, normal):
    """Attribute the errors of rows to the channels.

    This is exact if the error is a sum over columns that belong to channels, as for
    reconstruction errors and unions of their normalised scores. Scores of other
    detectors in a union are attributed with `occlude`.

    Parameters
    ----------
    detector : fitted estimator
        A detector, or a pipeline that ends in one.
    X : array-like of shape (n_timestamps, n_channels)
        A series.
    rows : ndarray of int
        Rows to explain, in increasing order.
    normal : ndarray of shape (n_timestamps,), dtype=bool, or None
        Rows to use as substitutes in occlusion. None rules occlusion out.

    Returns
    -------
    contributions : ndarray of shape (n_rows, n_channels) or None
        Non-negative contributions, NaN in rows without an error. None if the error is
        not such a sum, or would need occlusion and `normal` is None.
    """
    columns, steps = _Columns(X), fitted_steps(detector)
    first = next((i for i, step in enumerate(steps) if _gives_errors(step)), None)
    if first is None or not all(map(columns.pass_through, steps[:first])):
        return None
    step, last = steps[first], steps[-1]

    def split(rows):
        errors, spread = _errors_of(step, columns, rows, normal)
        if errors is None:
            return None
        if step is last:
            return spread(errors)
        if not _end_in_threshold(steps[first + 1 :]):
            return None
        for between in steps[first + 1 : -1]:
            errors = np.asarray(between.transform(errors))
        return spread(_compared(errors, last))

    # Other detectors may need occlusion, which uses all rows.
    return _in_blocks(split, rows, columns) if _is_residual(step) else split(rows)


def score_channels(detector, X):
    """Return the errors of all rows and those of their channels, by one run of a model.

    Parameters
    ----------
    detector : fitted estimator
        A detector, or a pipeline that ends in one.
    X : array-like of shape (n_timestamps, n_channels)
        A series.

    Returns
    -------
    errors : ndarray of shape (n_timestamps,)
        Errors, as from `detector_errors`.
    contributions : ndarray of shape (n_timestamps, n_channels)
        Errors of the channels, as from `channel_errors` for all rows.

    The function returns None if the two do not follow from the same errors. They do if
    a residual detector, after steps that `channel_errors` knows, is the last step or is
    followed by a threshold.
    """
    steps = fitted_steps(detector)
    first = next((i for i, step in enumerate(steps) if _is_residual(step)), None)
    if first is None or not all(map(_keeps_channels, steps[:first])):
        return None
    residual, after = steps[first], steps[first + 1 :]
    if not (_end_in_threshold(after) if after else _scores_by_mean(residual)):
        return None

    def both(X):
        columns = _Columns(X)
        for step in steps[:first]:
            columns.pass_through(step)
        errors = residual.transform(columns.values)
        if after:
            for between in after[:-1]:
                errors = between.transform(errors)
            scores = after[-1].score_samples(errors)  # of a frame, if steps return one
            errors = _compared(np.asarray(errors), after[-1])
        else:
            errors = np.asarray(errors)
            scores = -mean_of_known(errors, axis=1)
        return np.column_stack([-scores, columns.fold(_contributions(errors))])

    results = results_by_block(both, as_series(X), detector)
    return results[:, 0].copy(), results[:, 1:]


def expected_readings(detector, X, rows):
    """Return the expected readings of a detector, in the units of the readings.

    Parameters
    ----------
    detector : fitted estimator
        A detector, or a pipeline that ends in one.
    X : array-like of shape (n_timestamps, n_channels)
        A series.
    rows : ndarray of int
        Rows to reconstruct, in increasing order.

    Returns
    -------
    expected : ndarray of shape (n_rows, n_channels) or None
        NaN in rows that are not reconstructed. None if there is no reconstruction, or
        an earlier step cannot be inverted.
    """
    columns = _Columns(X)
    for step in fitted_steps(detector):

        def restore(rows, step=step):
            expected = _reconstruct(step, columns.values, rows)
            return None if expected is None else columns.undo(expected)

        expected = _in_blocks(restore, rows, columns)
        if expected is not None:
            return expected
        if not columns.pass_through(step):
            return None
    return None


def _in_blocks(function, rows, columns):
    """Call a function on blocks of rows. Return None if it returns None."""
    n_rows = max(_MOST_VALUES // columns.values.shape[1], 1)
    parts = []
    for start in range(0, max(len(rows), 1), n_rows):
        part = function(rows[start : start + n_rows])
        if part is None:
            return None
        parts.append(part)
    return np.concatenate(parts)


def occlude(detector, X, rows, normal):
    """Attribute errors by how much they decrease with normal readings of a channel.

    One channel at a time is replaced in the rows to explain and their context: by a
    line between the surrounding readings, and by several stretches of its own normal
    readings. For each row, the substitute with the smallest error counts.

    Parameters
    ----------
    detector : fitted estimator
        Any detector that scores rows.
    X : array-like of shape (n_timestamps, n_channels)
        A series.
    rows : ndarray of int
        Rows to explain, in increasing order.
    normal : ndarray of shape (n_timestamps,), dtype=bool
        Rows to take substitutes from.

    Returns
    -------
    contributions : ndarray of shape (n_rows, n_channels)
        Differences of errors, non-negative.
    """
    n_timestamps, n_channels = X.shape
    try:
        context = get_context(detector)
    except ValueError:  # unknown context: score all rows
        needed, replaced = np.arange(n_timestamps), rows
    else:
        needed = replaced = rows_with_context(rows, context, n_timestamps)
    piece = _floats(_safe_indexing(X, needed))
    places = np.searchsorted(needed, replaced)
    positions = np.searchsorted(needed, rows)
    errors = detector_errors(detector, piece)[positions]
    contributions = np.zeros((len(rows), n_channels))
    with counting(n_channels, "columns") as tell_done:
        for channel in range(n_channels):
            readings = _column(X, channel)
            lowest = errors
            for substitute in _substitutes(readings, replaced, normal):
                changed = _column(piece, channel).copy()
                present = ~np.isnan(changed[places])  # missing readings stay missing
                changed[places[present]] = substitute[present]
                errors_now = detector_errors(detector, _with(piece, channel, changed))
                lowest = np.fmin(lowest, errors_now[positions])
            contributions[:, channel] = errors - lowest
            tell_done(channel + 1)
    return contributions


def normalise(contributions):
    """Return the shares of the channels in each row, which sum to 1 or are all 0.

    Parameters
    ----------
    contributions : ndarray of shape (n_rows, n_channels)
        Non-negative.

    Returns
    -------
    shares : ndarray of shape (n_rows, n_channels)
    """
    largest = contributions.max(axis=1, keepdims=True)
    scaled = contributions / np.where(largest > 0, largest, 1.0)  # sums stay finite
    total = scaled.sum(axis=1, keepdims=True)
    return scaled / np.where(total > 0, total, 1.0)


class _Columns:
    """Columns of a series, tracked through the steps before the errors.

    Parameters
    ----------
    X : array-like of shape (n_timestamps, n_channels)
        The series.

    Attributes
    ----------
    values : array-like of shape (n_timestamps, n_columns)
        Output of the steps so far.
    """

    def __init__(self, X):
        self.values = X
        self._n_channels = X.shape[1]
        self._channels = np.arange(self._n_channels)  # of each column
        self._passed = []

    def pass_through(self, step):
        """Apply a step if the channel of each of its output columns is known."""
        channels = self._channels
        if not _keeps_channels(step):
            return False
        if isinstance(step, WindowTransformer):
            channels = np.tile(channels, step.n_context_ + 1)
        elif _selects(step):
            channels = channels[step.get_support()]
        self.values = step.transform(self.values)
        self._passed.append((step, self._channels))
        self._channels = channels
        return True

    def fold(self, contributions):
        """Sum the columns of each channel."""
        if np.array_equal(self._channels, np.arange(self._n_channels)):
            return contributions
        folded = np.zeros((len(contributions), self._n_channels))
        for channel in range(self._n_channels):
            # Deselected channels have no columns.
            of_channel = contributions[:, self._channels == channel]
            folded[:, channel] = of_channel.sum(axis=1)
        return folded

    def undo(self, expected):
        """Map expected values of columns back to channels, or return None.

        For windows, the last row is used.
        """
        for step, channels in reversed(self._passed):
            if isinstance(step, WindowTransformer):
                expected = expected[:, -len(channels) :]
            elif _selects(step):
                selected = expected
                expected = np.full((len(selected), len(channels)), np.nan)
                expected[:, step.get_support()] = selected
            elif hasattr(step, "inverse_transform"):
                known = ~np.isnan(expected).all(axis=1)
                restored = np.full(expected.shape, np.nan)
                restored[known] = np.asarray(step.inverse_transform(expected[known]))
                expected = restored
            else:
                return None
        return expected


def _selects(step):
    # Not with SelectorMixin, whose import takes as long as that of the whole library.
    return hasattr(step, "get_support")


def _keeps_channels(step):
    """Whether the channel of each output column of a step is known."""
    if isinstance(step, WindowTransformer) or _selects(step):
        return True
    return isinstance(step, OneToOneFeatureMixin) and hasattr(step, "transform")


def _end_in_threshold(steps):
    """Whether steps after the errors keep their columns and end in a threshold."""
    *between, last = steps
    keep = all(isinstance(step, OneToOneFeatureMixin) for step in between)
    return keep and isinstance(last, ReconstructionThreshold)


def _compared(errors, threshold):
    """Return errors per column as a threshold weighs them."""
    if threshold.channels == "each":
        return relative_errors(errors, threshold.threshold_)
    return errors


def _scores_by_mean(step):
    """Whether the score of a row is the mean of its errors; not in any subclass."""
    return isinstance(step, ResidualDetector) and not step._overrides(
        "transform", "score_samples"
    )


def _gives_errors(step):
    if isinstance(step, FeatureUnion):
        return all(isinstance(part, ScoreTransformer) for part in _parts(step))
    return _is_residual(step) or isinstance(step, (HybridDetector, ScoreTransformer))


def _is_residual(step):
    """Whether a step returns expected readings and errors per column."""
    return hasattr(step, "reconstruct") and hasattr(step, "transform")


def _parts(union):
    return [part for _, part in union.transformer_list if part != "drop"]


def _errors_of(step, columns, rows, normal):
    """Return errors per column, and a function that maps them to channels."""
    if _is_residual(step):
        errors = results_at(step, "transform", columns.values, rows)
        return errors, lambda errors: columns.fold(_contributions(errors))
    if isinstance(step, HybridDetector):
        return _cascade(step, columns.values, rows, normal), columns.fold
    parts = _parts(step) if isinstance(step, FeatureUnion) else [step]
    found = [_shares(part.detector_, columns.values, rows, normal) for part in parts]
    if any(shares is None for shares in found):
        return None, None
    shares = [columns.fold(shares) for shares in found]
    scores = results_at(step, "transform", columns.values, rows)

    def spread(scores):
        # Only positive scores make a row abnormal. If there are none, as below the
        # median on a logarithmic scale, all detectors have equal weights.
        weights = np.maximum(scores, 0)
        weights[~(weights > 0).any(axis=1)] = 1.0
        weights = weights[:, :, None]  # (n_rows, n_detectors, 1)
        return (weights * np.stack(shares, axis=1)).sum(axis=1)

    return scores, spread


def _contributions(errors):
    """Clip errors at 0, and use 0 for unknown channels of rows with other errors."""
    unknown = np.isnan(errors)
    unknown &= ~unknown.all(axis=1, keepdims=True)
    return np.where(unknown, 0, np.maximum(errors, 0))


def _shares(detector, X, rows, normal):
    contributions = channel_errors(detector, X, rows, normal)
    if contributions is None:
        if normal is None:
            return None
        contributions = occlude(detector, X, rows, normal)
    return normalise(contributions)


def _cascade(hybrid, X, rows, normal):
    """Return the shares in the errors of the part that scored each row."""
    if hybrid.combine != "cascade":
        return None
    candidate = results_at(hybrid, "screen", X, rows)
    contributions = np.empty((len(rows), X.shape[1]))
    for part, scored in (
        (hybrid.detector_, candidate),
        (hybrid.screener_, ~candidate),
    ):
        if scored.any():
            shares = _shares(part, X, rows[scored], normal)
            if shares is None:
                return None
            contributions[scored] = shares
    return contributions


def _reconstruct(step, Z, rows):
    """Return the reconstruction of rows by an estimator in its own units, or None."""
    if hasattr(step, "reconstruct"):
        return results_at(step, "reconstruct", Z, rows)
    if isinstance(step, HybridDetector):
        inner = [step.detector_, step.screener_]
    elif isinstance(step, ScoreTransformer):
        inner = [step.detector_]
    elif isinstance(step, FeatureUnion):
        inner = [
            part.detector_
            for part in _parts(step)
            if isinstance(part, ScoreTransformer)
        ]
    else:
        return None
    for detector in inner:
        expected = expected_readings(detector, Z, rows)
        if expected is not None:
            return expected
    return None


def _substitutes(readings, rows, normal):
    """Yield substitutes for the readings of a channel in the given rows."""
    usable = normal & np.isfinite(readings)
    outside = usable.copy()
    outside[rows] = False
    if outside.any():
        yield np.interp(rows, np.flatnonzero(outside), readings[outside])
    pool = readings[usable] if usable.any() else readings[np.isfinite(readings)]
    for stretch in range(_STRETCHES if len(pool) else 0):
        start = stretch * len(pool) // _STRETCHES
        yield pool[(start + np.arange(len(rows))) % len(pool)]


def _floats(X):
    return X.astype(np.float64) if hasattr(X, "iloc") else np.array(X, dtype=np.float64)


def _column(X, channel):
    if hasattr(X, "iloc"):
        return X.iloc[:, channel].to_numpy(dtype=np.float64, na_value=np.nan)
    return np.asarray(X[:, channel], dtype=np.float64)


def _with(X, channel, values):
    """Return a copy of a series with a replaced column."""
    X = X.copy()
    if hasattr(X, "iloc"):
        X.isetitem(channel, values)
    else:
        X[:, channel] = values
    return X
