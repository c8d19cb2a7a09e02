# SPDX-License-Identifier: MIT
from contextlib import suppress

import numpy as np
from scipy.sparse import issparse
from sklearn.base import (
    BaseEstimator,
    MetaEstimatorMixin,
    OneToOneFeatureMixin,
    TransformerMixin,
    clone,
)
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from tsanomaly._context import get_context
from tsanomaly._sklearn_compat import (
    HasMethods,
    _check_method_params,
    _fit_context,
    _safe_indexing,
)
from tsanomaly._validation import (
    FitRouter,
    VersionedState,
    all_or_nothing,
    validate_series,
)

__all__ = ["ReconstructionError"]

# Larger residuals would overflow when squared and added up.
_LARGEST = 1e150

# Maximum number of values and rows to transform at a time if rows are independent.
# Intermediate results take several times as much memory.
_MOST_VALUES, _MOST_ROWS = 2**22, 16_384


class ReconstructionError(
    VersionedState,
    FitRouter,
    OneToOneFeatureMixin,
    MetaEstimatorMixin,
    TransformerMixin,
    BaseEstimator,
):
    """Compute the squared reconstruction errors of an invertible transformer.

    A transformer that compresses the data, such as
    :class:`~sklearn.decomposition.PCA`, reconstructs anomalous rows badly. With PCA,
    between :class:`WindowTransformer` and :class:`ReconstructionThreshold`, this is a
    strong and very fast baseline that other detectors should be compared with.

    Parameters
    ----------
    transformer : estimator
        A transformer with `transform` and `inverse_transform`. It is cloned; wrap a
        fitted transformer as ``FrozenEstimator(transformer)``.

    Attributes
    ----------
    transformer_ : estimator
        The fitted transformer.

    n_context_, n_lookahead_, n_start_up_ : int
        Number of earlier and later rows that the errors of a row depend on, and number
        of start-up rows: those of the transformer, 0 for row-wise transformers of
        scikit-learn. Defined only if they are known for the transformer.

    n_features_in_ : int
        Number of columns seen during `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of columns seen during `fit`. Defined only when `X` has feature names that
        are all strings.

    See Also
    --------
    ReconstructionThreshold : Flag rows by their errors.
    LSTMAutoencoderDetector : Errors of an LSTM autoencoder.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.decomposition import PCA
    >>> from tsanomaly import ReconstructionError
    >>> X = np.outer(np.arange(10.0), [1.0, 2.0])
    >>> errors = ReconstructionError(PCA(n_components=1)).fit(X)
    >>> errors.transform([[3.0, 6.0], [3.0, 0.0]]).sum(axis=1).round(6)
    array([0. , 7.2])
    """

    _parameter_constraints: dict = {
        "transformer": [HasMethods(["fit", "transform", "inverse_transform"])]
    }

    _routed_parts = ("transformer",)

    def __init__(self, transformer):
        self.transformer = transformer

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None, **fit_params):
        """Fit a clone of the transformer.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_features)
            Readings or windows of readings.
        y : array-like of shape (n_timestamps,) or None, default=None
            Passed to the transformer.
        **fit_params : dict
            Metadata requested by the transformer, if metadata routing is enabled.

        Returns
        -------
        self : ReconstructionError
            The fitted transformer.

        Raises
        ------
        ValueError
            If `transformer` has no `inverse_transform`, or `X` contains infinity, or
            NaN that the transformer does not support.
        """
        with all_or_nothing(self):
            X, breaks = self._validate(X, reset=True)
            rows = np.flatnonzero(~breaks)
            metadata = self._route_fit(fit_params)["transformer"]
            if len(rows) < len(X):
                metadata = _check_method_params(X, metadata, rows)
                X, y = X[rows], None if y is None else _safe_indexing(y, rows)
            self.transformer_ = clone(self.transformer).fit(X, y, **metadata)
            for name in ("n_context_", "n_lookahead_", "n_start_up_"):
                vars(self).pop(name, None)
            with suppress(ValueError):  # unknown for the transformer
                self.n_context_, self.n_lookahead_, self.n_start_up_ = get_context(
                    self.transformer_
                )
        return self

    def transform(self, X):
        """Return the squared residual of every value.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_features)
            Readings or windows of readings, as in `fit`.

        Returns
        -------
        errors : ndarray of shape (n_timestamps, n_features)
            ``(X - inverse_transform(transform(X))) ** 2``, in the squared units of `X`.
            Residuals are clipped at ±1e150. NaN at breaks, that is, in rows that are
            NaN in every column.

        Raises
        ------
        ValueError
            If the columns of `X` differ from those seen during `fit`, or the
            computation overflows.
        """
        check_is_fitted(self)
        X, breaks = self._validate(X, reset=False)
        errors = np.full(X.shape, np.nan)
        for block, part, restored in self._restore(X, breaks):
            with np.errstate(over="ignore", invalid="ignore"):  # limited right away
                # In float64: a float32 residual of 1e20 would overflow when squared.
                residual = np.subtract(part, restored, dtype=np.float64)
                errors[block] = np.square(residual.clip(-_LARGEST, _LARGEST))
        return errors

    def reconstruct(self, X):
        """Return the reconstruction of a series.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_features)
            Readings or windows of readings, as in `fit`.

        Returns
        -------
        reconstruction : ndarray of shape (n_timestamps, n_features)
            ``inverse_transform(transform(X))``, in the units of `X`. NaN at breaks.

        Raises
        ------
        ValueError
            As in `transform`.
        """
        check_is_fitted(self)
        X, breaks = self._validate(X, reset=False)
        reconstruction = np.full(X.shape, np.nan)
        for block, _, restored in self._restore(X, breaks):
            reconstruction[block] = restored
        return reconstruction

    def _restore(self, X, breaks):
        """Reconstruct all rows except breaks, block by block.

        Yields
        ------
        block : slice or ndarray of int
            Rows of `X`.
        part, restored : ndarray of shape (n_rows, n_features)
            These rows and their reconstruction.
        """
        rows = np.flatnonzero(~breaks)
        # Windows are views of the series, but their reconstructions are not. If rows
        # are independent, only a block of them is held in memory.
        context = getattr(self, "n_context_", None), getattr(self, "n_lookahead_", None)
        n_rows = max(len(rows), 1)
        if context == (0, 0):
            n_rows = min(_MOST_ROWS, max(_MOST_VALUES // X.shape[1], 1))
        for start in range(0, len(rows), n_rows):
            block = rows[start : start + n_rows]
            if block[-1] - block[0] == len(block) - 1:
                block = slice(block[0], block[-1] + 1)  # a view, no copy
            part = X[block]
            with np.errstate(over="ignore", invalid="ignore"):  # caught below
                reduced = self.transformer_.transform(part)
                self._check_finite(reduced, part)
                restored = np.asarray(self.transformer_.inverse_transform(reduced))
                self._check_finite(restored, part)
            yield block, part, restored

    def _check_finite(self, result, part):
        """Raise if the result is not finite for finite rows."""
        if issparse(result):
            return
        result = np.asarray(result)
        if result.dtype.kind != "f" or np.isfinite(result).all():
            return
        finite = np.isfinite(part).all(axis=1)
        if not np.isfinite(result[finite]).all():
            largest = np.abs(part[finite]).max()
            raise ValueError(
                f"{type(self.transformer_).__name__} returned values that are not "
                f"finite, for input values up to {largest:g} or because of its "
                "training data. Scale the series, and remove physically impossible "
                "readings."
            )

    def _validate(self, X, *, reset):
        allow_nan = get_tags(self.transformer).input_tags.allow_nan
        missing = "allow" if allow_nan else "breaks"
        X, breaks = validate_series(self, X, reset=reset, missing=missing)
        # Read-only, so that a transformer that works in place has to copy first.
        X = X.view()
        X.flags.writeable = False
        return X, breaks

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = get_tags(self.transformer)
        tags.input_tags.allow_nan = inner.input_tags.allow_nan
        tags.input_tags.positive_only = inner.input_tags.positive_only
        tags.target_tags = inner.target_tags
        return tags
