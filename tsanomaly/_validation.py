# SPDX-License-Identifier: MIT
"""Validation of series and labels, and the state of estimators."""

import warnings
from contextlib import contextmanager
from functools import partial, wraps
from numbers import Integral

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import check_random_state
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    process_routing,
)
from sklearn.utils.validation import check_is_fitted, validate_data

from tsanomaly._sklearn_compat import _raise_for_params
from tsanomaly._time_order import warn_if_unordered
from tsanomaly._version import __version__

__all__ = [
    "FLOATS",
    "FitRouter",
    "VersionWarning",
    "VersionedState",
    "all_or_nothing",
    "are_counts",
    "as_series",
    "check_columns",
    "check_labels",
    "check_moved",
    "check_numbers",
    "check_parameters_unchanged",
    "check_series_length",
    "draw_seed",
    "find_breaks",
    "find_gaps",
    "is_same_step",
    "locate",
    "median_step",
    "moved_parameters",
    "name_column",
    "remember_parameters",
    "unmasked",
    "validate_for_parts",
    "validate_series",
]

FLOATS = [np.float64, np.float32]

# Time steps that differ by at most this share are the same.
_NEAR = 0.25


def validate_series(estimator, X, *, reset, missing="breaks"):
    """Validate a series and find its breaks.

    Parameters
    ----------
    estimator : estimator
        Estimator whose ``n_features_in_`` and ``feature_names_in_`` are set or checked.
    X : array-like of shape (n_timestamps, n_channels)
        Series, rows in time order.
    reset : bool
        Whether to set the attributes, as in `fit`.
    missing : {'breaks', 'allow'}, default='breaks'
        Whether to accept NaN only in breaks, or everywhere.

    Returns
    -------
    X : ndarray of shape (n_timestamps, n_channels)
        The series, float32 or float64.
    breaks : ndarray of shape (n_timestamps,), dtype=bool
        Rows that are NaN in every channel.

    Raises
    ------
    ValueError
        If a column is not numeric, contains infinity or unsupported NaN, the columns
        differ from those seen during `fit`, or X is a list of series.
    TypeError
        If X is sparse.

    Warns
    -----
    UserWarning
        If the times in the index of a frame are not in order.
    """
    given = X = as_series(X)
    check_columns(X, type(estimator).__name__)
    X = validate_data(estimator, X, reset=reset, dtype=FLOATS, ensure_all_finite=False)
    warn_if_unordered(given, estimator)
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(X.sum()):  # fast path without a mask of the whole series
            return X, np.zeros(len(X), dtype=bool)
    infinite = np.isinf(X)
    if infinite.any():
        raise ValueError(
            f"Input X contains infinity in {locate(estimator, infinite)}. Replace it, "
            "or drop the row."
        )
    del infinite  # for long series, these masks take most of the memory
    absent = np.isnan(X)
    breaks = absent.all(axis=1)
    if missing == "allow":
        return X, breaks
    refused = absent & ~breaks[:, None]
    if refused.any():
        raise ValueError(
            f"Input X contains NaN in {locate(estimator, refused)}. "
            f"{type(estimator).__name__} needs all channels of a row, or none: a row "
            "that is NaN in every channel is a break between two stretches. Impute "
            "first, for example with DataFrame.ffill or sklearn.impute.SimpleImputer."
        )
    return X, breaks


def as_series(X):
    """Check that the input of the user is a single series, and remove masks.

    Parameters
    ----------
    X : array-like of shape (n_timestamps, n_channels)
        Series, not yet validated.

    Returns
    -------
    X : array-like of shape (n_timestamps, n_channels)
        The input, with masked arrays converted to arrays with NaN.

    Raises
    ------
    ValueError
        If X is a collection of several series.
    """
    parts = X.values() if isinstance(X, dict) else X
    if isinstance(X, (dict, list, tuple)) and any(
        hasattr(part, "columns") or getattr(part, "ndim", 1) > 1 for part in parts
    ):
        raise ValueError(
            f"X is a {type(X).__name__} of {len(X)} series, but a single series is "
            "expected. To fit one detector on all of them, join them with "
            "pandas.concat and tsanomaly.datasets.insert_breaks(frame, by=...). To fit "
            "one detector on each, use FleetDetector."
        )
    return unmasked(X)


def unmasked(values):
    """Convert a masked array to an array with NaN. Return other values unchanged."""
    if isinstance(values, (list, tuple)) and any(
        isinstance(value, np.ma.MaskedArray) for value in values
    ):
        values = [np.nan if value is np.ma.masked else value for value in values]
        values = np.ma.array(values)
    if not isinstance(values, np.ma.MaskedArray):
        return values
    if values.dtype.kind in "biuf":
        dtype = values.dtype if values.dtype in FLOATS else np.float64
    else:
        dtype = object
    return values.astype(dtype).filled(np.nan)


def check_columns(X, user):
    """Raise unless the columns of a frame are numeric and have unique names.

    Parameters
    ----------
    X : array-like of shape (n_timestamps, n_channels)
        Series. Only frames are checked.
    user : str
        Name of the caller for messages.
    """
    if not (hasattr(X, "iloc") and hasattr(X, "columns")):
        return
    if X.columns.duplicated().any():
        twice = X.columns[X.columns.duplicated()][0]
        raise ValueError(
            f"Column {twice!r} is in X more than once. Rename the duplicates, so that "
            "channels can be distinguished."
        )
    for name, dtype in X.dtypes.items():
        if getattr(dtype, "kind", "O") in "biufc":
            continue
        try:
            holds_text = any(isinstance(value, str) for value in X[name])
            np.asarray(X[name], dtype=np.float64)
        except (TypeError, ValueError):
            holds_text = True
        is_category = (
            str(dtype) == "category"
        )  # its missing values would turn to numbers
        if holds_text or is_category or getattr(dtype, "kind", "O") in "mM":
            raise ValueError(
                f"Column {name!r} is not numeric (dtype {dtype}). {user} requires "
                "sensor readings: drop the column, make a time column the index, or "
                "encode categories as numbers."
            )


def validate_for_parts(estimator, X, *, reset):
    """Validate a series in a meta-estimator, before its parts validate it further.

    Parameters
    ----------
    estimator : estimator
        Fitted, unless `reset` is True.
    X : array-like of shape (n_timestamps, n_channels)
        Series.
    reset : bool
        Whether to remember the channels, as in `fit`.

    Returns
    -------
    X : DataFrame or ndarray of shape (n_timestamps, n_channels)
        Frames are returned unchanged, because the parts may need them.
    """
    if not reset:
        check_is_fitted(estimator)
        check_parameters_unchanged(estimator)
    X = as_series(X)
    if hasattr(X, "iloc"):
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        warn_if_unordered(X, estimator)
        return X
    return validate_data(
        estimator, X, reset=reset, dtype="numeric", ensure_all_finite=False
    )


def find_breaks(X):
    """Return a mask of rows that are NaN in every channel.

    Parameters
    ----------
    X : array-like of shape (n_timestamps, n_channels)
        Series, not yet validated.

    Returns
    -------
    breaks : ndarray of shape (n_timestamps,), dtype=bool
        All False if X is not a table of numbers.
    """
    return _absent(X).all(axis=1)


def find_gaps(X):
    """Return a mask of rows that are NaN in at least one channel.

    Parameters
    ----------
    X : array-like of shape (n_timestamps, n_channels)
        Series, not yet validated.

    Returns
    -------
    gaps : ndarray of shape (n_timestamps,), dtype=bool
        All False if X is not a table of numbers.
    """
    return _absent(X).any(axis=1)


def _absent(X):
    """Return a mask of missing readings."""
    import pandas as pd

    if issparse(X):
        return np.zeros((X.shape[0], 1), dtype=bool)
    if not hasattr(X, "isna"):
        X = np.asarray(unmasked(X))
        if X.dtype.kind not in "fO" or X.ndim != 2:
            return np.zeros((len(X), 1), dtype=bool)
    return np.asarray(pd.isna(X))


def median_step(index):
    """Return the median time step of an index.

    Parameters
    ----------
    index : Index
        Index of a frame.

    Returns
    -------
    step : Timedelta or None
        None unless the index has ordered times and the median step is positive.
    """
    import pandas as pd

    is_time = isinstance(index, pd.DatetimeIndex)
    if not is_time or len(index) < 2 or not index.is_monotonic_increasing:
        return None
    step = pd.Series(index).diff().median()
    return step if step > pd.Timedelta(0) else None


def is_same_step(step, trained):
    """Whether a time step is about that of training."""
    return abs(step - trained) <= _NEAR * trained


def locate(estimator, mask):
    """Describe the first column and row of a mask, and its number of readings."""
    column = int(mask.any(axis=0).argmax())
    row = int(mask[:, column].argmax())
    return (
        f"{name_column(estimator, column)}, first at row {row} ({mask.sum():,} of "
        f"{mask.size:,} readings)"
    )


def name_column(estimator, column):
    """Describe a column for a message, by its name or its position."""
    if hasattr(estimator, "feature_names_in_"):
        return f"column {str(estimator.feature_names_in_[column])!r}"
    return f"the column at position {column}"


def are_counts(values, least):
    """Whether all values are integers of at least `least`, and not bools."""
    return all(
        isinstance(value, Integral) and not isinstance(value, bool) and value >= least
        for value in values
    )


def check_series_length(breaks, n_needed, **parameters):
    """Raise unless a series has enough consecutive rows.

    Parameters
    ----------
    breaks : ndarray of shape (n_timestamps,), dtype=bool
        Rows of the training series that are NaN in every channel.
    n_needed : int
        Number of rows that the score of a row depends on, including the row itself.
    **parameters : dict
        Parameters that determine this number, such as ``window_size=10``.
    """
    n_rows = np.count_nonzero(~breaks)
    edges = np.flatnonzero(np.concatenate([[True], breaks, [True]]))
    longest = int(np.diff(edges).max() - 1)
    if longest >= n_needed:
        return
    if not n_rows:
        raise ValueError(
            f"Every one of the {len(breaks):,} training rows is NaN in every "
            "channel, so there is nothing to fit (n_samples=0). Fit on rows that "
            "contain readings. Scalers return NaN for channels that overflow."
        )
    is_whole = n_rows == len(breaks)
    stretch = (
        "training series" if is_whole else "longest stretch of the training series"
    )
    given = " and ".join(f"{name}={value}" for name, value in parameters.items())
    if list(parameters.values()) == [n_needed]:
        text = f"{given} is longer than the {stretch} "
    else:
        text = (
            f"With {given} the score of a row depends on {n_needed} rows, more than "
            f"the {stretch} has "
        )
    raise ValueError(
        f"{text}(n_samples={longest}). Fit on a longer series or lower "
        f"{' or '.join(parameters)}."
    )


def check_labels(y, n_timestamps=None, name="y"):
    """Validate labels or flags: 1 = anomaly, 0 = normal.

    Parameters
    ----------
    y : array-like of shape (n_timestamps,)
        Labels.
    n_timestamps : int or None, default=None
        Number of rows in the series. None accepts any positive number.
    name : str, default='y'
        Name of the labels in messages.

    Returns
    -------
    y : ndarray of shape (n_timestamps,), dtype=bool
        True where a row is anomalous.

    Raises
    ------
    ValueError
        If `y` has the wrong length or shape, or values other than 0 and 1.
    """
    import pandas as pd

    y = np.asarray(unmasked(y))
    if y.ndim == 2 and y.shape[1] == 1:
        cure = f" Pass {name} as one dimension: numpy.ravel({name})."
    else:
        cure = ""
    if n_timestamps is not None and y.shape != (n_timestamps,):
        raise ValueError(
            f"{name} must have one label for each of the {n_timestamps} rows of X, got "
            f"an array of shape {y.shape}.{cure}"
        )
    if y.ndim != 1 or not len(y):
        raise ValueError(
            f"{name} must contain one label for each row, and at least one, got an "
            f"array of shape {y.shape}.{cure}"
        )
    missing = pd.isna(y)
    if missing.any():
        raise ValueError(
            f"{name} must contain 0 (normal) and 1 (anomaly), but {missing.sum():,} "
            f"labels are missing, first at row {missing.argmax()}. Remove unlabelled "
            "rows, or label them as normal."
        )
    values = pd.unique(y)  # unsorted, because labels of mixed types have no order
    if np.isin(values, [0, 1]).all():
        return y.astype(bool)
    if np.isin(values, [-1, 1]).all():
        cure = f"Convert labels of predict with {name} = ({name} == -1).astype(int)."
    elif y.dtype.kind == "f" and (values != np.floor(values)).any():
        cure = f"Convert scores with {name} = (scores > threshold).astype(int)."
    else:
        cure = f"Convert with {name} = ({name} == label_of_anomalies).astype(int)."
    raise ValueError(
        f"{name} must contain 0 (normal) and 1 (anomaly), got {values[:5].tolist()}. "
        + cure
    )


def remember_parameters(estimator, names):
    """Remember, in `fit`, the parameters that the fitted state depends on."""
    estimator._fitted_with = {name: _plain(getattr(estimator, name)) for name in names}


def check_parameters_unchanged(estimator):
    """Raise if a parameter that the fitted state depends on was changed after `fit`."""
    for name, before in getattr(estimator, "_fitted_with", {}).items():
        now = _plain(getattr(estimator, name))
        if now != before:
            raise ValueError(
                f"{name} was changed from {before!r} to {now!r} after fit, but the "
                f"fitted state depends on it. Refit the {type(estimator).__name__}."
            )


def _plain(value):
    """Convert a parameter to plain values that can be compared.

    Objects with parameters are converted recursively, because they may be changed in
    place.
    """
    if hasattr(value, "get_params") and not isinstance(value, type):
        items = sorted(value.get_params().items())
        return (type(value), *((name, _plain(item)) for name, item in items))
    if isinstance(value, partial):
        items = sorted(value.keywords.items())
        return value.func, _plain(value.args), *((n, _plain(item)) for n, item in items)
    if hasattr(value, "__array__") and not isinstance(value, np.generic):
        value = np.asarray(value)
    if isinstance(value, (list, tuple, np.ndarray)):
        return tuple(_plain(item) for item in value)
    if isinstance(value, np.generic):
        return value.item()
    return value


def draw_seed(random_state):
    """Draw a seed from a `random_state` without changing global state."""
    # For None, scikit-learn would use and advance the global generator.
    if random_state is None:
        return int(np.random.default_rng().integers(2**31))
    return check_random_state(random_state).randint(2**31)


@contextmanager
def all_or_nothing(estimator):
    """Restore the state of an estimator if `fit` fails or is interrupted."""
    before = vars(estimator).copy()
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


def check_moved(estimator, names, homes, kind=ValueError):
    """Raise if a parameter that was moved is used.

    Parameters
    ----------
    estimator : estimator
        Estimator that used to have the parameter.
    names : iterable of str
        Names of parameters that are used.
    homes : dict of str to str
        Replacements by former name.
    kind : type, default=ValueError
        Class of the error.
    """
    for name in names:
        if name in homes:
            raise kind(
                f"{name} is no longer a parameter of {type(estimator).__name__}. Pass "
                f"{homes[name]} instead."
            )


def moved_parameters(homes):
    """Decorate a constructor so that former parameters raise a helpful error.

    Parameters
    ----------
    homes : dict of str to str
        Replacements by former name.

    Returns
    -------
    decorate : callable
        Decorator of a constructor with the same signature, which raises TypeError for
        the former names.
    """

    def decorate(init):
        @wraps(init)
        def checked_init(self, *args, **kwargs):
            check_moved(self, kwargs, homes, TypeError)
            init(self, *args, **kwargs)

        return checked_init

    return decorate


class FitRouter:
    """Mixin of meta-estimators that pass metadata of `fit` to their parts.

    A class lists the parameters with the parts in ``_routed_parts``, and calls
    ``_route_fit`` in `fit`.
    """

    def get_metadata_routing(self):
        """Get the metadata routing of this object.

        Returns
        -------
        routing : MetadataRouter
            Metadata that `fit` passes to the parts that request it, if metadata routing
            of scikit-learn is enabled.
        """
        router = MetadataRouter(owner=self)
        mapping = MethodMapping().add(caller="fit", callee="fit")
        parts = {name: getattr(self, name) for name in self._routed_parts}
        given = {name: part for name, part in parts.items() if part is not None}
        return router.add(method_mapping=mapping, **given)

    def _route_fit(self, fit_params):
        """Return the metadata for `fit` of each part by name."""
        _raise_for_params(fit_params, self, "fit")
        routed = process_routing(self, "fit", **fit_params)
        # Default parts, given as None, request nothing.
        return {
            name: {} if getattr(self, name) is None else routed[name].fit
            for name in self._routed_parts
        }


class VersionWarning(UserWarning):
    """Warning that a fitted state was saved by another version."""


class VersionedState:
    """Mixin that adds the library version to the pickled state of an estimator.

    A cache such as ``Pipeline(memory=...)`` hashes this state, so that results of older
    versions are not reused after an upgrade.
    """

    def __getstate__(self):
        return {**super().__getstate__(), "_tsanomaly_version": __version__}

    def __setstate__(self, state):
        state = dict(state)
        version = state.pop("_tsanomaly_version", None)
        if version != __version__:
            warnings.warn(
                f"This {type(self).__name__} was saved by tsanomaly {version}, and "
                f"this is {__version__}: it may fail or return different scores. "
                "Refit it to be safe.",
                VersionWarning,
                stacklevel=2,
            )
        super().__setstate__(state)


def check_numbers(estimator, parts, private=()):
    """Raise if fitted attributes contain NaN, for example after a file was modified.

    Otherwise all scores would be NaN, as at breaks, and no row would be flagged.

    Parameters
    ----------
    estimator : fitted estimator
        Its attributes that end in an underscore are checked.
    parts : list of object
        Objects in the estimator, whose attributes are all checked.
    private : sequence of str, default=()
        Other attributes of the estimator to check.
    """
    parts = [*parts]
    parts += [
        v for part in parts for v in vars(part).values() if hasattr(v, "__dict__")
    ]
    learned = {
        name: value
        for name, value in vars(estimator).items()
        if name.endswith("_") or name in private
    }
    for numbers in (learned, *map(vars, parts)):
        for name, value in numbers.items():
            if _holds_nan(value):
                raise ValueError(
                    f"{name} of the fitted {type(estimator).__name__} contains NaN, so "
                    "no row would have a score. Refit it, or load another copy of its "
                    "file."
                )


def _holds_nan(value):
    if isinstance(value, list):
        return any(map(_holds_nan, value))
    if isinstance(value, np.ndarray):
        return value.dtype.kind == "f" and np.isnan(value).any()
    return isinstance(value, (float, np.floating)) and np.isnan(value)
