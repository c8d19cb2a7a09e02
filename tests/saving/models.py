# SPDX-License-Identifier: MIT
"""Models of many kinds, not fitted."""

import itertools

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.covariance import EllipticEnvelope
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import SGDOneClassSVM
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.neighbors import KernelDensity, LocalOutlierFactor
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline, make_union
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MinMaxScaler,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import OneClassSVM

from tests.helpers import tiny_detector, wave
from tsanomaly import (
    AutoregressiveDetector,
    EnsembleDetector,
    HybridDetector,
    LinearAutoencoderDetector,
    LSTMAutoencoderDetector,
    ReconstructionError,
    ReconstructionThreshold,
    ScoreTransformer,
    TemporalFeatures,
    WindowNeighborsDetector,
    WindowTransformer,
)
from tsanomaly.metrics import make_anomaly_scorer


def small_forest(**parameters):
    return IsolationForest(n_estimators=3, random_state=0, **parameters)


def network():
    return tiny_detector(window_size=3)


class Shift(TransformerMixin, BaseEstimator):
    """A transformer outside of this library."""

    def fit(self, X, y=None):
        self.shift_ = np.asarray(X).mean(axis=0)
        return self

    def transform(self, X):
        return np.asarray(X) - self.shift_


class OtherNetwork(LSTMAutoencoderDetector):
    """A detector outside of this library, derived from one of it."""


MODELS = {
    "window": WindowTransformer(3),
    "linear": LinearAutoencoderDetector(3, random_state=0),
    "linear_baseline": LinearAutoencoderDetector(
        (3, 9), row_error="overlap_mean", stride=2, random_state=0
    ),
    "forecasts": AutoregressiveDetector(lags=(1, 2), window_size=3),
    "neighbors": WindowNeighborsDetector(4, max_samples=30, random_state=0),
    "neighbors ahead": WindowNeighborsDetector(
        4, row_error="multiscale_centered", max_samples=30, random_state=0
    ),
    "readings": WindowNeighborsDetector(
        4, features=("readings", "scaled"), max_samples=30, random_state=0
    ),
    "mean of detectors": make_pipeline(
        StandardScaler(),
        EnsembleDetector(
            [
                ("forecasts", AutoregressiveDetector(lags=1, window_size=3)),
                ("forest", small_forest()),
                ("too long", AutoregressiveDetector(lags=1, window_size=9_999)),
            ],
            weights=[1, 2, 1],
        ),
    ),
    "features": TemporalFeatures(windows=(3,), lags=(2,), rates=(1,)),
    "calendar": make_pipeline(
        TemporalFeatures(windows=[3, 4], calendar=True, interactions=True),
        StandardScaler(),
        small_forest(),
    ),
    "network": network(),
    "network_overlap": tiny_detector(window_size=3, row_error="overlap_mean", stride=2),
    "network_validated": tiny_detector(
        window_size=3, row_error="last", validation_fraction=0.2, contamination=0.1
    ),
    "network_of_lists": tiny_detector(
        window_size=np.int64(3), units=[np.int64(3)], latent_dim=2
    ),
    "network_threshold": make_pipeline(network(), ReconstructionThreshold()),
    "errors": ReconstructionError(PCA(1)),
    **{
        f"threshold_{method}_{channels}": make_pipeline(
            StandardScaler(),
            ReconstructionError(PCA(1)),
            ReconstructionThreshold(method, channels=channels),
        )
        for method, channels in itertools.product(
            ["quantile", "sigma", "mad", "pot", "f_score"], ["mean", "max", "each"]
        )
        if (method, channels) != ("f_score", "each")
    },
    **{
        f"threshold_budget_{channels}": make_pipeline(
            ReconstructionError(PCA(1)),
            ReconstructionThreshold(channels=channels, false_alarms=1, per=50),
        )
        for channels in ("mean", "each")
    },
    "score_tail": ScoreTransformer(small_forest()),
    "score_rank": ScoreTransformer(EllipticEnvelope(random_state=0), calibrate="rank"),
    "score_plain": ScoreTransformer(OneClassSVM(), calibrate=None),
    "score_neighbours": ScoreTransformer(LocalOutlierFactor(novelty=True)),
    "hybrid": HybridDetector(detector=network(), trim_fraction=0.1),
    "hybrid_mean": HybridDetector(
        small_forest(), LocalOutlierFactor(novelty=True), combine="mean"
    ),
    "hybrid_all": HybridDetector(
        small_forest(), network(), screen_fraction=1, contamination=0.1
    ),
    "ensemble": make_pipeline(
        make_union(
            ScoreTransformer(small_forest()),
            ScoreTransformer(make_pipeline(StandardScaler(), network())),
        ),
        ReconstructionThreshold(),
    ),
    "union": make_pipeline(
        FeatureUnion([("a", PCA(1)), ("b", "drop"), ("c", "passthrough")]),
        small_forest(),
    ),
    "columns": make_pipeline(
        ColumnTransformer(
            [("a", MinMaxScaler(), ["ch_0"]), ("b", RobustScaler(), ["ch_1"])],
            remainder="passthrough",
        ),
        small_forest(),
    ),
    "remainder": make_pipeline(
        ColumnTransformer([("a", MinMaxScaler(), [0])], remainder=StandardScaler()),
        small_forest(),
    ),
    "function": make_pipeline(FunctionTransformer(np.arctan), small_forest()),
    "quantiles": make_pipeline(QuantileTransformer(n_quantiles=9), PCA("mle")),
    "bins": KBinsDiscretizer(3, encode="ordinal", strategy="uniform"),
    "imputed": make_pipeline(SimpleImputer(), RobustScaler(), small_forest()),
    "forest": small_forest(),
    "forest_of_columns": small_forest(max_features=1, max_samples=20, bootstrap=True),
    **{
        f"neighbours_{algorithm}_{metric}": LocalOutlierFactor(
            algorithm=algorithm, metric=metric, metric_params=parameters, novelty=True
        )
        for algorithm in ["kd_tree", "ball_tree", "brute"]
        for metric, parameters in [
            ("minkowski", None),
            ("chebyshev", None),
            ("mahalanobis", {"VI": np.diag([1.0, 2.0])}),
            ("seuclidean", {"V": np.array([1.0, 2.0])}),
        ]
        if not (algorithm == "kd_tree" and parameters)
    },
    "density": KernelDensity(),
    "svm": OneClassSVM(nu=0.1),
    "svm_poly": OneClassSVM(kernel="poly"),
    "linear_svm": SGDOneClassSVM(random_state=0),
    "envelope": EllipticEnvelope(random_state=0),
    **{f"pca_{solver}": PCA(1, svd_solver=solver) for solver in ("full", "arpack")},
    "frozen": make_pipeline(
        StandardScaler(),
        ScoreTransformer(FrozenEstimator(small_forest().fit(wave(50)))),
    ),
}

# Searches over a threshold, which contain a pipeline, splits and a scorer.
SEARCHES = {
    name: GridSearchCV(
        Pipeline(
            [("errors", ReconstructionError(PCA(1))), ("t", ReconstructionThreshold())],
            memory="cache",
        ),
        {"t__quantile": [0.9, 0.95], "errors__transformer": [PCA(1), PCA(1, tol=1)]},
        scoring=scoring,
        refit=refit,
        cv=TimeSeriesSplit(2),
    )
    for name, scoring, refit in [
        ("labels", make_anomaly_scorer("event_fscore"), True),
        ("ranking", make_anomaly_scorer("vus_pr", window=5), True),
        ("name", "average_precision", True),
        ("several", ["roc_auc", "accuracy"], "accuracy"),
    ]
}
