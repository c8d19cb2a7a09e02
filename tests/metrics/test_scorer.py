# SPDX-License-Identifier: MIT
import pickle

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    fbeta_score,
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
from tsanomaly import ReconstructionThreshold, _network, _validation, metrics
from tsanomaly.metrics import make_anomaly_scorer


@pytest.fixture
def labelled():
    X = wave(300)
    y = np.zeros(300, dtype=int)
    for start in (40, 95, 140, 190, 245, 290):
        X[start : start + 4] += 4
        y[start : start + 4] = 1
    return X, y


@pytest.fixture
def forest(labelled):
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
    X, y = labelled
    X[100] = np.nan
    detector = tiny_detector(epochs=5, learning_rate=0.01).fit(X)
    kept = np.arange(len(X)) != 100
    scores, weights = -detector.score_samples(X)[kept], np.arange(1, 301)
    scorer = make_anomaly_scorer("roc_auc")
    assert scorer(detector, X, y) == roc_auc_score(y[kept], scores)
    weighted = roc_auc_score(y[kept], scores, sample_weight=weights[kept])
    assert scorer(detector, X, y, sample_weight=weights) == weighted


def test_refuses(forest, labelled):
    X, y = labelled
    with pytest.raises(ValueError, match=r"y = \(y == -1\)"):
        make_anomaly_scorer("f1")(forest, X, 1 - 2 * y)
    with pytest.raises(ValueError, match="one label for each"):
        make_anomaly_scorer("f1")(forest, X, y[:-1])
    with pytest.raises(ValueError, match="metric='auc' is not known"):
        make_anomaly_scorer("auc")
    with pytest.raises(ValueError, match="needs response_method='predict'"):
        make_anomaly_scorer("f1", response_method="score_samples")
    with pytest.raises(ValueError, match="response_method must be"):
        make_anomaly_scorer(f1_score, response_method="predict_proba")
    with pytest.raises(ValueError, match="Leave greater_is_better out"):
        make_anomaly_scorer("roc_auc", greater_is_better=False)
    with pytest.raises(ValueError, match="'fbeta' needs beta"):
        make_anomaly_scorer("fbeta")
    with pytest.raises(ValueError, match="a string or a function"):
        make_anomaly_scorer(3)


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


@pytest.fixture
def count_fits(monkeypatch):
    fits = []
    train = _network.Network.train

    def counted(self, *arguments, **parameters):
        fits.append(self)
        return train(self, *arguments, **parameters)

    monkeypatch.setattr(_network.Network, "train", counted)
    return fits


def search(folder):
    pipeline = Pipeline(
        [
            ("scale", StandardScaler()),
            ("errors", tiny_detector(units=(8,), epochs=20, learning_rate=0.01)),
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


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@pytest.mark.filterwarnings("ignore:No positive class found")
@pytest.mark.filterwarnings("ignore:Point adjustment")
@pytest.mark.parametrize("name", ["roc_auc", "average_precision", "f1", *RANGE_METRICS])
def test_a_fold_without_anomalies_does_not_decide(name, forest, labelled):
    X, y = labelled
    kwargs = {"freq": "1min"} if name == "false_alarms_per_day" else {}
    scorer = make_anomaly_scorer(name, **kwargs)
    assert np.isfinite(scorer(forest, X, np.zeros_like(y)))


@pytest.mark.filterwarnings("ignore:The total space of parameters")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@pytest.mark.parametrize("search", [GridSearchCV, HalvingRandomSearchCV])
def test_searches(search, labelled):
    X, y = labelled
    X, y = np.tile(X, (3, 1)), np.tile(y, 3)
    options = {"random_state": 0} if search is HalvingRandomSearchCV else {}
    found = search(
        make_pipeline(StandardScaler(), IsolationForest(random_state=0)),
        {"isolationforest__n_estimators": [5, 20]},
        scoring=make_anomaly_scorer("vus_pr", window=10),
        cv=TimeSeriesSplit(3, gap=2),
        **options,
    ).fit(X, y)
    assert np.isfinite(found.best_score_)
