# SPDX-License-Identifier: MIT
"""Estimators of scikit-learn that a file may contain, with specs of their attributes.

All of them compute with NumPy only, so that a wrong number causes an error or another
score. Estimators whose compiled code does not validate its input are in `_compiled`.
"""

import numpy as np

from tsanomaly._saving._specs import (
    ANYTHING,
    FLAG,
    NOTHING,
    Array,
    Instance,
    Items,
    Number,
    Numbers,
    State,
    Text,
)

__all__ = ["CONTAINERS", "ESTIMATORS", "PLAIN"]

_ANY = Array("f", "d", finite=False)  # NaN for channels without readings
_COUNT = Number("f", 0) | Array("fi", "d")
_VECTOR, _SQUARE = Array("f", "d"), Array("f", "d", "d")
_COMPONENTS = Array("f", "k", "d")
_INTEGER, _NUMBER, _K = Number("i"), Number("f"), Number("i", 1, size="k")
_UNDEFINED = Array("f", "k", finite=False)  # NaN for a constant series


# Maximum number of iterations of a transformation.
_MOST_ROUNDS = 100_000

# Keywords of NumPy functions that decide which results are computed and where they are
# written.
_PLACES = {"axes", "casting", "copy", "dtype", "order", "out", "signature", "where"}


def _check_rounds(estimator):
    """Raise if a transformation may take too many iterations."""
    if estimator.max_iter > _MOST_ROUNDS:
        raise ValueError(f"max_iter={estimator.max_iter:,} are too many rounds")


def _check_function(transformer):
    """Raise if keywords do more than change how each number is transformed."""
    keywords = {**(transformer.kw_args or {}), **(transformer.inv_kw_args or {})}
    if found := sorted(_PLACES & keywords.keys()):
        raise ValueError(f"{found[0]} is no keyword that a file may hold")
    if transformer.feature_names_out not in (None, "one-to-one"):
        raise ValueError("feature_names_out is a function")


_COVARIANCE = {
    "location_": _VECTOR,
    "covariance_": _SQUARE,
    "precision_": (_SQUARE | NOTHING).maybe(),
}
_ROBUST = {
    **_COVARIANCE,
    "raw_location_": _VECTOR,
    "raw_covariance_": _SQUARE,
    "raw_support_": Array("b", "n"),
    "support_": Array("b", "n"),
    "dist_": Array("f", "n"),
}
_DECOMPOSED = {
    "explained_variance_": Array("f", "k"),
    "explained_variance_ratio_": _UNDEFINED,
    "singular_values_": Array("f", "k"),
}

ESTIMATORS = {
    "preprocessing.StandardScaler": State(
        {
            "n_samples_seen_": _COUNT,
            "mean_": _ANY | NOTHING,
            "var_": _ANY | NOTHING,
            "scale_": _ANY | NOTHING,
        }
    ),
    "preprocessing.MinMaxScaler": State(
        {
            "n_samples_seen_": _COUNT,
            **dict.fromkeys(
                ("scale_", "min_", "data_min_", "data_max_", "data_range_"), _ANY
            ),
        }
    ),
    "preprocessing.MaxAbsScaler": State(
        {"n_samples_seen_": _COUNT, "max_abs_": _ANY, "scale_": _ANY}
    ),
    "preprocessing.RobustScaler": State(
        {"center_": _ANY | NOTHING, "scale_": _ANY | NOTHING}
    ),
    "preprocessing.QuantileTransformer": State(
        {
            "n_quantiles_": Number("i", 1, size="q"),
            "references_": Array("f", "q"),
            "quantiles_": Array("f", "q", "d", finite=False),
        }
    ),
    "preprocessing.PowerTransformer": State(
        {"lambdas_": _ANY, "_scaler": Instance("StandardScaler").maybe()}
    ),
    "preprocessing.Normalizer": State({}),
    "preprocessing.Binarizer": State({}),
    "preprocessing.KBinsDiscretizer": State(
        {
            "bin_edges_": Items(
                Array("f", "*", finite=False), size="d", kinds=(np.ndarray,)
            ),
            "n_bins_": Array("i", "d", low=1),
        }
    ),
    "preprocessing.FunctionTransformer": State({}, check=_check_function),
    "impute.SimpleImputer": State(
        {
            "_fit_dtype": Instance("dtype"),
            "_fill_dtype": Instance("dtype").maybe(),
            "indicator_": NOTHING | Instance("MissingIndicator"),
            "statistics_": _ANY | Items(_NUMBER, size="d", kinds=(np.ndarray,)),
        }
    ),
    "impute.MissingIndicator": State(
        {
            "_precomputed": FLAG,
            "_n_features": Number("i", 1, size="d"),
            "features_": Array("i", "*", low=0, high="d"),
        }
    ),
    "feature_selection.VarianceThreshold": State({"variances_": _ANY}),
    "decomposition.PCA": State(
        {
            "_fit_svd_solver": Text().maybe(),
            "mean_": _VECTOR,
            "noise_variance_": _NUMBER,
            "n_samples_": Number("i", 1),
            "n_components_": _K,
            "components_": _COMPONENTS,
            **_DECOMPOSED,
        }
    ),
    "decomposition.IncrementalPCA": State(
        {
            "n_samples_seen_": _NUMBER,
            "mean_": _VECTOR,
            "var_": _VECTOR,
            "noise_variance_": _NUMBER,
            "batch_size_": Number("i", 1).maybe(),
            "n_components_": _K,
            "components_": _COMPONENTS,
            **_DECOMPOSED,
        }
    ),
    "decomposition.TruncatedSVD": State({"components_": _COMPONENTS, **_DECOMPOSED}),
    "decomposition.FactorAnalysis": State(
        {
            "mean_": _VECTOR,
            "components_": _COMPONENTS,
            "noise_variance_": _VECTOR,
            "loglike_": Items(_NUMBER),
            "n_iter_": _INTEGER,
        }
    ),
    "decomposition.FastICA": State(
        {
            "n_iter_": _INTEGER,
            "components_": _COMPONENTS,
            "mixing_": Array("f", "d", "k"),
            "_unmixing": Array("f", "k", "k"),
            "mean_": _VECTOR.maybe(),
            "whitening_": _COMPONENTS.maybe(),
        }
    ),
    "decomposition.NMF": State(
        {
            "_n_components": _K,
            "_beta_loss": _NUMBER,
            "reconstruction_err_": _NUMBER,
            "n_components_": _K,
            "components_": _COMPONENTS,
            "n_iter_": _INTEGER,
        },
        check=_check_rounds,
    ),
    "covariance.EllipticEnvelope": State({**_ROBUST, "offset_": _NUMBER}),
    "covariance.MinCovDet": State(_ROBUST),
    "covariance.EmpiricalCovariance": State(_COVARIANCE),
    "covariance.ShrunkCovariance": State(_COVARIANCE),
    "covariance.LedoitWolf": State({**_COVARIANCE, "shrinkage_": _NUMBER}),
    "covariance.OAS": State({**_COVARIANCE, "shrinkage_": _NUMBER}),
    "mixture.GaussianMixture": State(
        {
            "converged_": FLAG,
            "weights_": Array("f", "k", low=0, high=1),
            "means_": _COMPONENTS,
            "covariances_": Numbers("f"),
            "precisions_": Numbers("f"),
            "precisions_cholesky_": Numbers("f"),
            "n_iter_": _INTEGER,
            "lower_bound_": _NUMBER,
            "lower_bounds_": Items(_NUMBER).maybe(),
        }
    ),
    "kernel_approximation.Nystroem": State(
        {
            "normalization_": Array("f", "k", "k"),
            "components_": Array("fiub", "k", "d"),
            "component_indices_": Array("i", "k"),
            "_n_features_out": _K,
        }
    ),
    "kernel_approximation.RBFSampler": State(
        {
            "_gamma": Number("f", 0).maybe(),
            "random_weights_": Array("f", "d", "k"),
            "random_offset_": Array("f", "k"),
            "_n_features_out": _K,
        }
    ),
    "random_projection.GaussianRandomProjection": State(
        {
            "n_components_": _K,
            "components_": _COMPONENTS,
            "_n_features_out": _K,
            "inverse_components_": Array("f", "d", "k").maybe(),
        }
    ),
    "linear_model.SGDOneClassSVM": State(
        {
            "coef_": _VECTOR,
            "offset_": Array("f", 1),
            "t_": _NUMBER,
            "n_iter_": _INTEGER,
            **{
                name: spec.maybe()
                for name, spec in {
                    "_standard_coef": _VECTOR,
                    "_average_coef": _VECTOR,
                    "_standard_intercept": Array("f", 1),
                    "_average_intercept": Array("f", 1),
                }.items()
            },
        },
        # Compiled, and created again in `fit`.
        left_out=("_loss_function_",),
    ),
}


def _check_columns(transformer):
    """Raise unless the columns of every part exist."""
    if not isinstance(transformer.verbose_feature_names_out, bool):
        raise ValueError("verbose_feature_names_out is a function or a pattern")
    n_columns = getattr(transformer, "n_features_in_", 0)
    names = set(getattr(transformer, "feature_names_in_", ()))
    for _, _, columns in transformer.transformers_:
        if isinstance(columns, slice):
            continue
        for column in np.atleast_1d(columns).tolist():
            if isinstance(column, str):
                known = column in names
            else:
                known = isinstance(column, bool) or -n_columns <= column < n_columns
            if not known:
                raise ValueError(f"there is no column {column!r}")


_SEARCH = {
    "best_estimator_": Instance().maybe(),
    "best_index_": _INTEGER.maybe(),
    "best_params_": Items(ANYTHING, kinds=(dict,)).maybe(),
    "best_score_": ANYTHING.maybe(),  # NaN where no fold has an anomaly
    "cv_results_": Items(ANYTHING, kinds=(dict,)),
    "multimetric_": FLAG,
    "n_splits_": Number("i", 1),
    "refit_time_": Number("f", 0).maybe(),
    "scorer_": Instance("_BaseScorer", "_Scorer", "_PassthroughScorer", "dict"),
    "_checked_cv_orig": ANYTHING.maybe(),
}

# Estimators that consist of others, and are fitted if those are.
CONTAINERS = {
    "pipeline.Pipeline": State({}),
    "pipeline.FeatureUnion": State({}),
    "frozen.FrozenEstimator": State({}),
    "compose.ColumnTransformer": State(
        {
            "_columns": Items(ANYTHING),
            "_transformer_to_input_indices": Items(
                Items(Number("i", 0)), kinds=(dict,)
            ),
            "_remainder": ANYTHING,
            "_name_to_fitted_passthrough": ANYTHING.maybe(),
            "_n_features": Number("i", 1, size="d").maybe(),
            "sparse_output_": FLAG,
            "transformers_": Items(Items(ANYTHING, size=3, kinds=(tuple,))),
            "output_indices_": Items(ANYTHING, kinds=(dict,)),
            "_transformers_feature_names_out": ANYTHING.maybe(),
        },
        check=_check_columns,
    ),
    "model_selection.GridSearchCV": State(_SEARCH),
    "model_selection.RandomizedSearchCV": State(_SEARCH),
}

_SPLITTER = {
    "n_splits": Number("i", 1),
    "shuffle": FLAG,
    "random_state": NOTHING | _INTEGER,
}

# Objects other than estimators.
PLAIN = {
    "model_selection.KFold": State(_SPLITTER),
    "model_selection.StratifiedKFold": State(_SPLITTER),
    "model_selection.TimeSeriesSplit": State(
        {
            **_SPLITTER,
            "max_train_size": NOTHING | Number("i", 1),
            "test_size": NOTHING | Number("i", 1),
            "gap": Number("i", 0),
        }
    ),
}
