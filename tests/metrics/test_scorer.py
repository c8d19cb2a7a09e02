# SPDX-License-Identifier: MIT
import pickle
import warnings
from functools import partial
from typing import ClassVar

import numpy as np
import pytest
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    fbeta_score,
    get_scorer,
    hamming_loss,
    roc_auc_score,
)
from sklearn.model_selection import (
    GridSearchCV,
    HalvingRandomSearchCV,
    TimeSeriesSplit,
    cross_validate,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.helpers import tiny_detector, wave
from tsanomaly import (
    LSTMAutoencoderDetector,
    ReconstructionThreshold,
    Training,
    _validation,
    metrics,
)
from tsanomaly.metrics import make_anomaly_scorer


class Silent(OutlierMixin, BaseEstimator):
    """Finds nothing."""

    def fit(self, X, y=None):
        return self

    def score_samples(self, X):
        return np.zeros(len(X))

    def predict(self, X):
        return np.ones(len(X), dtype=int)


@pytest.fixture(scope="module")
def labelled():
    """A series with anomalies, shared: it cannot be changed."""
    X = wave(300)
    y = np.zeros(300, dtype=int)
    for start in (40, 95, 140, 190, 245, 290):
        X[start : start + 4] += 4
        y[start : start + 4] = 1
    X.setflags(write=False)
    y.setflags(write=False)
    return X, y


@pytest.fixture(scope="module")
def forest(labelled):
    """A detector, shared: do not change it."""
    return IsolationForest(contamination=0.1, random_state=0).fit(labelled[0])


@pytest.mark.parametrize(
    ("metric", "expected"),
    [("roc_auc", roc_auc_score), ("average_precision", average_precision_score)],
)
def test_rankings(forest, labelled, metric, expected):
    X, y = labelled
    score = make_anomaly_scorer(metric)(forest, X, y)
    assert score == expected(y, -forest.score_samples(X)) > 0.9


def test_labels(forest, labelled):
    X, y = labelled
    flagged = forest.predict(X) == -1
    assert make_anomaly_scorer("f1")(forest, X, y) == f1_score(y, flagged)
    half = make_anomaly_scorer("fbeta", beta=0.5)(forest, X, y)
    assert half == fbeta_score(y, flagged, beta=0.5)
    macro = make_anomaly_scorer("f1", labels=[0, 1], average="macro")
    assert macro(forest, X, y) == f1_score(y, flagged, average="macro")
    loss = make_anomaly_scorer(hamming_loss, greater_is_better=False)
    assert loss(forest, X, y) == -hamming_loss(y, flagged)


@pytest.mark.parametrize(
    "metric",
    ["accuracy", "balanced_accuracy", "jaccard", "matthews_corrcoef", "precision"],
)
def test_every_name_works(forest, labelled, metric):
    assert 0 < make_anomaly_scorer(metric)(forest, *labelled) <= 1


def test_a_function_of_scores(forest, labelled):
    X, y = labelled

    def gap(y_true, scores):
        return scores[y_true == 1].mean() - scores[y_true == 0].mean()

    scorer = make_anomaly_scorer(gap, response_method="score_samples")
    assert scorer(forest, X, y) > 0.1


def test_breaks_do_not_count_in_rankings(labelled):
    X, y = labelled[0].copy(), labelled[1]
    X[100] = np.nan
    detector = tiny_detector(epochs=5, learning_rate=0.01).fit(X)
    kept = np.arange(len(X)) != 100
    scores, weights = -detector.score_samples(X)[kept], np.arange(1, 301)
    scorer = make_anomaly_scorer("roc_auc")
    assert scorer(detector, X, y) == roc_auc_score(y[kept], scores)
    weighted = roc_auc_score(y[kept], scores, sample_weight=weights[kept])
    assert scorer(detector, X, y, sample_weight=weights) == weighted


def test_labels_that_do_not_fit(forest, labelled):
    X, y = labelled
    for labels, named in ((1 - 2 * y, "y == -1"), (y[:-1], f"{len(y):,} rows")):
        with pytest.raises(ValueError, match=named):
            make_anomaly_scorer("f1")(forest, X, labels)


@pytest.mark.parametrize(
    ("metric", "parameters", "named"),
    [
        ("auc", {}, "'auc'"),
        ("f1", {"response_method": "score_samples"}, "response_method='predict'"),
        (f1_score, {"response_method": "predict_proba"}, "response_method"),
        ("roc_auc", {"greater_is_better": False}, "greater_is_better"),
        ("fbeta", {}, r"'fbeta'.*beta=2\)"),
        ("false_alarms_per_day", {}, r"freq='5min'\)"),
        (3, {}, "function"),
    ],
)
def test_refuses(metric, parameters, named):
    with pytest.raises(ValueError, match=named):
        make_anomaly_scorer(metric, **parameters)


@pytest.mark.parametrize(
    "function",
    [roc_auc_score, average_precision_score, metrics.vus_pr, metrics.range_auc],
)
def test_a_function_of_scores_is_not_fed_with_labels(function, forest, labelled):
    with pytest.raises(ValueError, match="response_method"):
        make_anomaly_scorer(function)
    scorer = make_anomaly_scorer(function, response_method="score_samples")
    expected = function(labelled[1], -forest.score_samples(labelled[0]))
    assert scorer(forest, *labelled) == expected
    # Who asks for labels gets them.
    scorer = make_anomaly_scorer(function, response_method="predict")
    expected = function(labelled[1], forest.predict(labelled[0]) == -1)
    assert scorer(forest, *labelled) == expected


def test_what_the_guide_says_of_the_strings_of_scikit_learn(forest, labelled):
    ours = make_anomaly_scorer("roc_auc")(forest, *labelled)
    reversed_sign = get_scorer("roc_auc")(forest, *labelled)
    assert ours > 0.9
    assert reversed_sign == pytest.approx(1 - ours)
    worse = get_scorer("average_precision")(forest, *labelled)
    assert worse < 0.1 < make_anomaly_scorer("average_precision")(forest, *labelled)
    with pytest.raises(ValueError, match="average='binary'"):
        get_scorer("f1")(forest, *labelled)


def test_scorers_travel(forest, labelled):
    scorer = make_anomaly_scorer("f1")
    assert "'f1'" in repr(scorer)
    again = pickle.loads(pickle.dumps(scorer))
    assert again(forest, *labelled) == scorer(forest, *labelled)
    result = cross_validate(
        make_pipeline(StandardScaler(), IsolationForest(random_state=0)),
        *labelled,
        cv=TimeSeriesSplit(3),
        scoring={"f1": scorer, "auc": make_anomaly_scorer("roc_auc")},
    )
    assert (result["test_auc"] > 0.8).all()


class Counted(LSTMAutoencoderDetector):
    """A network that counts how often it was trained."""

    fits: ClassVar = []

    def fit_transform(self, X, y=None):
        self.fits.append(len(X))
        return super().fit_transform(X, y)


@pytest.fixture
def count_fits():
    Counted.fits.clear()
    return Counted.fits


def search(folder):
    network = Counted(
        5,
        units=(8,),
        latent_dim=None,
        epochs=20,
        training=Training(batch_size=8, learning_rate=0.01),
        random_state=0,
    )
    pipeline = Pipeline(
        [
            ("scale", StandardScaler()),
            ("errors", network),
            ("threshold", ReconstructionThreshold()),
        ],
        memory=str(folder),
    )
    return GridSearchCV(
        pipeline,
        {"threshold__quantile": [0.5, 0.8, 0.9, 0.95]},
        scoring=make_anomaly_scorer("f1"),
        cv=TimeSeriesSplit(3),
    )


def test_tuning_a_threshold_trains_once_per_split(labelled, tmp_path, count_fits):
    tuned = search(tmp_path).fit(*labelled)
    assert len(count_fits) == 3 + 1
    means = tuned.cv_results_["mean_test_score"]
    assert np.ptp(means) > 0.05  # the metric tells thresholds apart
    assert tuned.best_params_["threshold__quantile"] > 0.5
    ranking = make_anomaly_scorer("average_precision")
    blind = search(tmp_path).set_params(scoring=ranking).fit(*labelled)
    assert np.ptp(blind.cv_results_["mean_test_score"]) == 0
    assert len(count_fits) == 3 + 1


def test_an_upgrade_misses_the_cache(labelled, tmp_path, count_fits, monkeypatch):
    search(tmp_path).fit(*labelled)
    monkeypatch.setattr(_validation, "__version__", "99.0")
    search(tmp_path).fit(*labelled)
    assert len(count_fits) == 2 * (3 + 1)


RANGE_METRICS = [
    *(
        f"{kind}_{part}"
        for kind in ("affiliation", "event", "range")
        for part in ("precision", "recall", "fscore")
    ),
    "detection_delay",
    "false_alarms_per_day",
    "nab_score",
    "point_adjusted_f1",
    "range_auc",
    "vus_pr",
    "vus_roc",
]


@pytest.mark.filterwarnings("ignore:Point adjustment")
@pytest.mark.parametrize("name", RANGE_METRICS)
def test_metrics_of_this_package(name, forest, labelled):
    X, y = labelled
    kwargs = {"freq": "1min"} if name == "false_alarms_per_day" else {}
    value = make_anomaly_scorer(name, **kwargs)(forest, X, y)
    flags, errors = (forest.predict(X) == -1).astype(int), -forest.score_samples(X)
    kind, _, part = name.rpartition("_")
    if part in ("precision", "recall", "fscore"):
        together = getattr(metrics, f"{kind}_precision_recall_fscore")(y, flags)
        expected = together[("precision", "recall", "fscore").index(part)]
    elif name == "detection_delay":
        expected = -metrics.detection_delay(y, flags).mean
    elif name in ("range_auc", "vus_pr", "vus_roc"):
        expected = getattr(metrics, name)(y, errors)
    else:
        expected = getattr(metrics, name)(y, flags, **kwargs)
        expected *= -1 if name == "false_alarms_per_day" else 1
    assert value == pytest.approx(expected)
    scorer = pickle.loads(pickle.dumps(make_anomaly_scorer(name, **kwargs)))
    assert scorer(forest, X, y) == value


def test_a_missed_event_counts_with_all_its_rows(forest):
    X = np.zeros((50, 2))
    y = np.zeros(50, dtype=int)
    y[[*range(10, 17), 30]] = 1
    assert not (forest.predict(X) == -1).any()
    assert make_anomaly_scorer("detection_delay")(forest, X, y) == -(7 + 1) / 2


@pytest.mark.filterwarnings("ignore:Point adjustment")
@pytest.mark.parametrize("name", ["roc_auc", "average_precision", "f1", *RANGE_METRICS])
def test_a_fold_without_anomalies_does_not_decide(name, forest, labelled):
    X, y = labelled
    if name == "false_alarms_per_day":  # the only one that such a fold leaves defined
        scorer = make_anomaly_scorer(name, freq="1min")
        expected = metrics.false_alarms_per_day(
            0 * y, forest.predict(X) == -1, freq="min"
        )
        assert scorer(forest, X, 0 * y) == -expected < 0
        return
    scorer = make_anomaly_scorer(name)
    with pytest.warns(UserWarning, match=r"defined|class|No positive"):
        assert scorer(Silent().fit(X), X, 0 * y) == 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        warnings.filterwarnings("ignore", "No positive class")
        assert scorer(forest, X, 0 * y) == 0


@pytest.fixture
def series_with_a_quiet_fold(labelled):
    X, y = np.tile(labelled[0], (4, 1)), np.tile(labelled[1], 4)
    X[600:900], y[600:900] = wave(300), 0
    return X, y


@pytest.mark.parametrize(
    "search",
    [
        GridSearchCV,
        partial(
            HalvingRandomSearchCV,
            # Rows as a resource would be drawn at random.
            resource="isolationforest__n_estimators",
            max_resources=20,
            min_resources=10,
            n_candidates=2,
            factor=2,
            random_state=0,
        ),
    ],
)
def test_searches(search, series_with_a_quiet_fold):
    found = search(
        make_pipeline(StandardScaler(), IsolationForest(random_state=0)),
        {"isolationforest__max_features": [1, 2]},
        scoring=make_anomaly_scorer("vus_pr", window=10),
        cv=TimeSeriesSplit(3, gap=2),
    )
    with pytest.warns(UndefinedMetricWarning, match="y_true has no anomalous row"):
        found.fit(*series_with_a_quiet_fold)
    assert (found.cv_results_["split1_test_score"] == 0).all()
    for split in (0, 2):
        assert (found.cv_results_[f"split{split}_test_score"] > 0.5).all()


def test_halving_over_rows_takes_them_at_random(labelled):
    # What the documentation warns of. If this fails, the warning may go.
    seen = []

    class Watching(IsolationForest):
        def fit(self, X, y=None):
            seen.append(X[:, 0])
            return super().fit(X)

    X, y = np.arange(300.0)[:, None], labelled[1]
    HalvingRandomSearchCV(
        Watching(n_estimators=2, random_state=0),
        {"max_samples": [2, 5]},
        scoring=make_anomaly_scorer("accuracy"),
        cv=TimeSeriesSplit(2),
        n_candidates=2,
        min_resources=150,
        random_state=0,
    ).fit(X, y)
    assert (np.diff(seen[0]) < 0).any()


def test_cross_validate(series_with_a_quiet_fold):
    with pytest.warns(UndefinedMetricWarning):
        result = cross_validate(
            IsolationForest(random_state=0),
            *series_with_a_quiet_fold,
            cv=TimeSeriesSplit(3, gap=2),
            scoring={
                name: make_anomaly_scorer(name)
                for name in ("vus_roc", "range_fscore", "nab_score", "detection_delay")
            },
            error_score="raise",
        )
    for name in ("vus_roc", "range_fscore", "nab_score", "detection_delay"):
        scores = result[f"test_{name}"]
        assert np.isfinite(scores).all()
        assert scores[1] == 0
    assert (result["test_vus_roc"][[0, 2]] > 0.5).all()
