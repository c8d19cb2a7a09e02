# SPDX-License-Identifier: MIT
"""Checks on series and labels, and what every estimator does with its state."""

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


def validate_series(estimator, X, *, reset, missing="breaks"):
    """Validate a series and find its breaks.

    Parameters
    ----------
    estimator : estimator
        Gets ``n_features_in_`` and ``feature_names_in_``, or is checked against them.
    X : array-like of shape (n_timestamps, n_channels)
        A series, rows in time order.
    reset : bool
        Whether this is `fit`.
    missing : {'breaks', 'allow'}, default='breaks'
        Which NaN is accepted: rows without any reading, or all.

    Returns
    -------
    X : ndarray of shape (n_timestamps, n_channels)
        The series, float32 or float64.
    breaks : ndarray of shape (n_timestamps,), dtype=bool
        Rows that are NaN in every channel.

    Raises
    ------
    ValueError
        If a column does not hold numbers, holds infinity, or holds NaN that is not
        accepted; if the columns are not those of `fit`; if X is a list of series.
    TypeError
        If X is sparse.

    Warns
    -----
    UserWarning
        If the index of a frame holds times that are not in order.
    """
    given = X = as_series(X)
    check_columns(X, type(estimator).__name__)
    X = validate_data(estimator, X, reset=reset, dtype=FLOATS, ensure_all_finite=False)
    warn_if_unordered(given, estimator)
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(X.sum()):  # the usual case, without a mask of the whole series
            return X, np.zeros(len(X), dtype=bool)
    infinite = np.isinf(X)
    if infinite.any():
        raise ValueError(
            f"Input X contains infinity in {locate(estimator, infinite)}. Replace it, "
            "or drop the row."
        )
    del infinite  # of a long series, these masks take most of the memory
    absent = np.isnan(X)
    breaks = absent.all(axis=1)
    if missing == "allow":
        return X, breaks
    refused = absent & ~breaks[:, None]
    if refused.any():
        raise ValueError(
            f"Input X contains NaN in {locate(estimator, refused)}. "
            f"{type(estimator).__name__} needs every channel of a row, or none: a row "
            "that is NaN in every channel is a break between two stretches. Impute "
            "first, for example with DataFrame.ffill or sklearn.impute.SimpleImputer."
        )
    return X, breaks


def as_series(X):
    """What a user gave as a series, if it is one, without a mask.

    Parameters
    ----------
    X : array-like of shape (n_timestamps, n_channels)
        A series, not validated yet.

    Returns
    -------
    X : array-like of shape (n_timestamps, n_channels)
        The same; a masked array as an array with NaN.

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
            f"X is a {type(X).__name__} of {len(X)} series, and one series is expected "
            "here. For one detector of all of them, join them with "
            "tsanomaly.datasets.insert_breaks(frame, by=...), after pandas.concat; for "
            "a detector of each, use FleetDetector."
        )
    return unmasked(X)


def unmasked(values):
    """A masked array as an array that is NaN where the mask is; others as they are."""
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
    """Raise unless every column of a frame holds numbers, and has a name of its own.

    Parameters
    ----------
    X : array-like of shape (n_timestamps, n_channels)
        A series. What is no frame has no columns to check.
    user : str
        What works on it, for the message.
    """
    if not (hasattr(X, "iloc") and hasattr(X, "columns")):
        return
    if X.columns.duplicated().any():
        twice = X.columns[X.columns.duplicated()][0]
        raise ValueError(
            f"Column {twice!r} is in X more than once. Rename one, so that the "
            "channels can be told apart."
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
                f"Column {name!r} does not hold numbers (dtype {dtype}). "
                f"{user} works on sensor readings: drop the "
                "column, make a time column the index, or encode categories as "
                "numbers."
            )


def validate_for_parts(estimator, X, *, reset):
    """Validate a series as far as an estimator can that passes it on to its parts.

    Parameters
    ----------
    estimator : estimator
        Fitted, unless `reset` is True.
    X : array-like of shape (n_timestamps, n_channels)
        A series.
    reset : bool
        Whether the channels are those that later series are to have.

    Returns
    -------
    X : DataFrame or ndarray of shape (n_timestamps, n_channels)
        A frame is left as it is: the parts may want that.
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
    """Rows that are NaN in every channel, of a series that is not validated yet.

    Parameters
    ----------
    X : array-like of shape (n_timestamps, n_channels)
        A series, as the user gave it.

    Returns
    -------
    breaks : ndarray of shape (n_timestamps,), dtype=bool
        None is True where X is no table of numbers.
    """
    return _absent(X).all(axis=1)


def find_gaps(X):
    """Rows that are NaN in some channel, breaks included, of such a series.

    Parameters
    ----------
    X : array-like of shape (n_timestamps, n_channels)
        A series, as the user gave it.

    Returns
    -------
    gaps : ndarray of shape (n_timestamps,), dtype=bool
        None is True where X is no table of numbers.
    """
    return _absent(X).any(axis=1)


def _absent(X):
    """Where a series has no reading."""
    import pandas as pd

    if issparse(X):
        return np.zeros((X.shape[0], 1), dtype=bool)
    if not hasattr(X, "isna"):
        X = np.asarray(unmasked(X))
        if X.dtype.kind not in "fO" or X.ndim != 2:
            return np.zeros((len(X), 1), dtype=bool)
    return np.asarray(pd.isna(X))


def median_step(index):
    """Median time from row to row.

    Parameters
    ----------
    index : Index
        Index of a frame.

    Returns
    -------
    step : Timedelta or None
        None if the index does not hold times in order, that differ.
    """
    import pandas as pd

    is_time = isinstance(index, pd.DatetimeIndex)
    if not is_time or len(index) < 2 or not index.is_monotonic_increasing:
        return None
    step = pd.Series(index).diff().median()
    return step if step > pd.Timedelta(0) else None


def locate(estimator, mask):
    """Name the column and first row of a fault, and count the readings it is in."""
    column = int(mask.any(axis=0).argmax())
    row = int(mask[:, column].argmax())
    return (
        f"{name_column(estimator, column)}, first at row {row} ({mask.sum():,} of "
        f"{mask.size:,} readings)"
    )


def name_column(estimator, column):
    """Name a column in a message, by its name in `fit` or its position."""
    if hasattr(estimator, "feature_names_in_"):
        return f"column {str(estimator.feature_names_in_[column])!r}"
    return f"the column at position {column}"


def are_counts(values, least):
    """Whether all values are whole numbers of at least so much, and no bool."""
    return all(
        isinstance(value, Integral) and not isinstance(value, bool) and value >= least
        for value in values
    )


def check_series_length(breaks, n_needed, **parameters):
    """Raise unless a series holds enough rows that follow each other.

    Parameters
    ----------
    breaks : ndarray of shape (n_timestamps,), dtype=bool
        Rows of the training series that are NaN in every channel.
    n_needed : int
        Rows that the score of one row depends on, itself included.
    **parameters : dict
        What the user set that these follow from, such as ``window_size=10``.
    """
    n_rows = np.count_nonzero(~breaks)
    edges = np.flatnonzero(np.concatenate([[True], breaks, [True]]))
    longest = int(np.diff(edges).max() - 1)
    if longest >= n_needed:
        return
    if not n_rows:
        raise ValueError(
            f"Every one of the {len(breaks):,} training rows is NaN in every "
            "channel, and there is nothing to learn (n_samples=0). Fit on rows that "
            "hold readings; a scaler makes NaN of channels that overflow."
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
            f"With {given} the score of a row needs {n_needed} rows, more than the "
            f"{stretch} has "
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
        Rows of the series they belong to. None accepts any number but 0.
    name : str, default='y'
        What to call them in messages.

    Returns
    -------
    y : ndarray of shape (n_timestamps,), dtype=bool
        True where a row is anomalous.

    Raises
    ------
    ValueError
        If `y` has another length, another shape, or other values than 0 and 1.
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
            f"{name} must hold one label for every row, of at least one, got an array "
            f"of shape {y.shape}.{cure}"
        )
    missing = pd.isna(y)
    if missing.any():
        raise ValueError(
            f"{name} must hold 0 (normal) and 1 (anomaly), but {missing.sum():,} "
            f"labels are missing, first at row {missing.argmax()}. Leave out rows that "
            "nobody judged, or call them normal."
        )
    values = pd.unique(y)  # unsorted, since labels of several types have no order
    if np.isin(values, [0, 1]).all():
        return y.astype(bool)
    if np.isin(values, [-1, 1]).all():
        cure = (
            f"Labels in the manner of predict convert with {name} = ({name} == "
            "-1).astype(int)."
        )
    elif y.dtype.kind == "f" and (values != np.floor(values)).any():
        cure = f"Scores convert with {name} = (scores > threshold).astype(int)."
    else:
        cure = f"Convert with {name} = ({name} == the anomaly's label).astype(int)."
    raise ValueError(
        f"{name} must hold 0 (normal) and 1 (anomaly), got {values[:5].tolist()}. "
        + cure
    )


def remember_parameters(estimator, names):
    """Note, in `fit`, the parameters that the fitted state goes with."""
    estimator._fitted_with = {name: _plain(getattr(estimator, name)) for name in names}


def check_parameters_unchanged(estimator):
    """Raise if a parameter that the fitted state goes with was set since `fit`."""
    for name, before in getattr(estimator, "_fitted_with", {}).items():
        now = _plain(getattr(estimator, name))
        if now != before:
            raise ValueError(
                f"{name} was changed from {before!r} to {now!r} after fit, and what "
                "fit learned does not go with it. Fit the "
                f"{type(estimator).__name__} again."
            )


def _plain(value):
    """A number, string, tuple of them or None, without numpy types and lists.

    Of what a parameter is made of, if it is one that has parameters itself: it may be
    changed in place.
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
    """Draw a seed from what `random_state` may be, without touching global state."""
    # Where scikit-learn would take None for the global generator, and advance it, this
    # takes a fresh one: global random states stay as they are.
    if random_state is None:
        return int(np.random.default_rng().integers(2**31))
    return check_random_state(random_state).randint(2**31)


@contextmanager
def all_or_nothing(estimator):
    """Leave an estimator as it was before, if `fit` fails or is interrupted."""
    before = vars(estimator).copy()
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


def check_moved(estimator, names, homes, kind=ValueError):
    """Raise if a parameter is named that moved.

    Parameters
    ----------
    estimator : estimator
        It had the parameter.
    names : iterable of str
        What was named.
    homes : dict of str to str
        What to pass instead, by the former name.
    kind : type, default=ValueError
        The class of the error.
    """
    for name in names:
        if name in homes:
            raise kind(
                f"{name} is no parameter of {type(estimator).__name__} any more. Pass "
                f"{homes[name]}."
            )


def moved_parameters(homes):
    """Decorate a constructor so that names which moved say where they are now.

    Parameters
    ----------
    homes : dict of str to str
        What to pass instead, by the former name.

    Returns
    -------
    decorate : callable
        From a constructor to one of the same signature. It raises TypeError if it is
        given one of the former names.
    """

    def decorate(init):
        @wraps(init)
        def checked_init(self, *args, **kwargs):
            check_moved(self, kwargs, homes, TypeError)
            init(self, *args, **kwargs)

        return checked_init

    return decorate


class FitRouter:
    """Mixin of meta-estimators that pass metadata of `fit` on to their parts.

    A class names the parameters that hold the parts in ``_routed_parts``, and calls
    ``_route_fit`` in `fit`.
    """

    def get_metadata_routing(self):
        """Say which metadata goes where.

        Returns
        -------
        routing : MetadataRouter
            What :func:`fit` passes on, if scikit-learn's metadata routing is enabled
            and the parts request it.
        """
        router = MetadataRouter(owner=self)
        mapping = MethodMapping().add(caller="fit", callee="fit")
        parts = {name: getattr(self, name) for name in self._routed_parts}
        given = {name: part for name, part in parts.items() if part is not None}
        return router.add(method_mapping=mapping, **given)

    def _route_fit(self, fit_params):
        """Metadata for `fit` of each part, by the name of the part."""
        _raise_for_params(fit_params, self, "fit")
        routed = process_routing(self, "fit", **fit_params)
        # A default part, given as None, requests nothing.
        return {
            name: {} if getattr(self, name) is None else routed[name].fit
            for name in self._routed_parts
        }


class VersionWarning(UserWarning):
    """A fitted state comes from another version of what it is used with."""


class VersionedState:
    """Mixin that makes the library version part of an estimator's pickled state.

    A cache such as ``Pipeline(memory=…)`` hashes that state, so that an upgrade misses
    the cache instead of returning what an older version computed.
    """

    def __getstate__(self):
        return {**super().__getstate__(), "_tsanomaly_version": __version__}

    def __setstate__(self, state):
        state = dict(state)
        version = state.pop("_tsanomaly_version", None)
        if version != __version__:
            warnings.warn(
                f"This {type(self).__name__} was saved by tsanomaly {version}, and "
                f"this is {__version__}: it may fail or give other scores. Fit it "
                "again to be sure.",
                VersionWarning,
                stacklevel=2,
            )
        super().__setstate__(state)


def check_numbers(estimator, parts, private=()):
    """Raise if what `fit` learned holds NaN, as in a file that was altered.

    Scores would be NaN, as at a break, and no row be flagged.

    Parameters
    ----------
    estimator : fitted estimator
        Its attributes that end in an underscore are looked at.
    parts : list of object
        Objects that it holds; all of their attributes are looked at.
    private : sequence of str, default=()
        Other attributes of the estimator to look at.
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
                    f"{name} of the fitted {type(estimator).__name__} holds NaN, and "
                    "no row would have a score. Fit it again, or load another copy of "
                    "its file."
                )


def _holds_nan(value):
    if isinstance(value, list):
        return any(map(_holds_nan, value))
    if isinstance(value, np.ndarray):
        return value.dtype.kind == "f" and np.isnan(value).any()
    return isinstance(value, (float, np.floating)) and np.isnan(value)
