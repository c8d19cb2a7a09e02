# SPDX-License-Identifier: MIT
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.feature_selection import VarianceThreshold
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    Normalizer,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import OneClassSVM

from tests.helpers import tiny_detector, wave
from tsanomaly import (
    AutoregressiveDetector,
    HybridDetector,
    LSTMAutoencoderDetector,
    ReconstructionError,
    ReconstructionThreshold,
    ScoreTransformer,
    TemporalFeatures,
    WindowTransformer,
    explain,
    make_ensemble,
)
from tsanomaly._attribution import (
    channel_errors,
    expected_readings,
    occlude,
    score_channels,
)
from tsanomaly._inspection import detector_errors
from tsanomaly.datasets import inject_anomalies, make_sensor_data
from tsanomaly.metrics import channel_hit_rate, make_anomaly_scorer

pytestmark = pytest.mark.network


def lstm(**parameters):
    parameters = {"window_size": 8, "units": (8,), "epochs": 3, **parameters}
    return tiny_detector(**parameters)


def pca(**parameters):
    return ReconstructionError(PCA(**parameters)), ReconstructionThreshold()


def forest():
    return IsolationForest(contamination=0.05, random_state=0)


def neighbours():
    return LocalOutlierFactor(novelty=True, contamination=0.01)


# Whether an expectation comes from a reconstruction
RECONSTRUCTING = {
    "LSTM": make_pipeline(StandardScaler(), lstm()),
    "LSTM that looks ahead": make_pipeline(
        MinMaxScaler(), lstm(row_error="overlap_mean", stride=2)
    ),
    "LSTM, a threshold for each": make_pipeline(
        RobustScaler(), lstm(row_error="last"), ReconstructionThreshold(channels="each")
    ),
    "PCA": make_pipeline(StandardScaler(), *pca(n_components=1)),
    "PCA on windows": make_pipeline(
        StandardScaler(), WindowTransformer(10), *pca(n_components=0.9)
    ),
    "PCA on scaled windows, a threshold for each": make_pipeline(
        WindowTransformer(5),
        StandardScaler(),
        ReconstructionError(PCA(6)),
        ReconstructionThreshold(channels="each"),
    ),
    "union": make_pipeline(
        StandardScaler(),
        make_union(
            ScoreTransformer(neighbours()),
            ScoreTransformer(
                make_pipeline(WindowTransformer(5), *pca(n_components=0.9))
            ),
        ),
        ReconstructionThreshold(),
    ),
    "ensemble": make_pipeline(StandardScaler(), make_ensemble(lstm(), random_state=0)),
    "cascade": make_pipeline(StandardScaler(), HybridDetector(detector=lstm())),
}
OTHERS = {
    "forest": make_pipeline(StandardScaler(), forest()),
    "forest on an array's columns": forest(),
    "neighbours on windows": make_pipeline(
        StandardScaler(), WindowTransformer(3), neighbours()
    ),
    "one-class SVM": make_pipeline(StandardScaler(), OneClassSVM(nu=0.01)),
    "features": make_pipeline(
        TemporalFeatures(windows=(5,), calendar=False), StandardScaler(), neighbours()
    ),
    "mean of two": make_pipeline(
        StandardScaler(), HybridDetector(forest(), neighbours(), combine="mean")
    ),
    "a score of a forest": make_pipeline(
        ScoreTransformer(forest()), ReconstructionThreshold(quantile=0.95)
    ),
}


@pytest.fixture(scope="module")
def plant():
    """Normal rows to learn; others, without and with faults of known channels."""
    normal = make_sensor_data(2600, contamination=0, random_state=3).frame
    train, test = normal[:2000], normal[2000:]
    faulty, _, events = inject_anomalies(
        test, kinds="level_shift", n_events=3, magnitude=9.0, random_state=39
    )
    rows = test.index.get_indexer(events["start"])
    assert (np.diff(rows) > 150).all()  # windows keep them apart
    assert events["channel"].nunique() == 3
    return train, test, faulty, events


@pytest.mark.parametrize("name", [*RECONSTRUCTING, *OTHERS])
def test_the_culprit_is_named(plant, name):
    train, test, faulty, events = plant
    detector = (RECONSTRUCTING | OTHERS)[name].fit(train)
    explained = explain(detector, faulty)
    for event in events.itertuples():
        overlap = explained[
            (explained["start"] <= event.end) & (explained["end"] >= event.start)
        ]
        longest = overlap.loc[overlap["duration"].idxmax()]
        assert longest["channels"][0] == event.channel
        assert longest["shares"] == sorted(longest["shares"], reverse=True)
        assert 0.3 < longest["shares"][0] <= 1
        assert sum(longest["shares"]) <= 1 + 1e-9
        assert (
            longest["reading"]
            in faulty.loc[event.start : event.end, event.channel].to_list()
        )
        shift = (faulty - test).loc[event.start, event.channel]
        deviation = longest["reading"] - longest["expected"]
        assert deviation / shift == pytest.approx(1, abs=0.6)
        above = "above" if shift > 0 else "below"
        source = "expected" if name in RECONSTRUCTING else "usual"
        assert f"{event.channel} " in longest["sentence"]
        assert f" {above} {source} " in longest["sentence"]


def test_what_a_table_holds(plant):
    train, _, faulty, _ = plant
    detector = RECONSTRUCTING["PCA on windows"].fit(train)
    before = faulty.copy()
    explained = explain(detector, faulty, n_channels=2)
    pd.testing.assert_frame_equal(faulty, before)
    scores = pd.Series(detector.score_samples(faulty), index=faulty.index)
    flagged = pd.Series(detector.predict(faulty) == -1, index=faulty.index)
    n_rows = 0
    for event in explained.itertuples():
        inside = slice(event.start, event.end)
        assert flagged[inside].all()
        n_rows += len(flagged[inside])
        assert event.peak == scores[inside].idxmin()
        assert event.score == scores[inside].min()
        assert event.duration == pd.Timedelta(minutes=len(flagged[inside]))
        assert len(event.channels) == len(event.shares) == 2
    assert n_rows == flagged.sum()
    assert explained["start"].is_monotonic_increasing
    assert explained["start"].dtype == faulty.index.dtype
    assert explained["duration"].dtype.kind == "m"


def test_shares_are_those_of_the_errors(plant):
    train, _, faulty, _ = plant
    detector = make_pipeline(
        StandardScaler(), WindowTransformer(4), *pca(n_components=6)
    ).fit(train)
    event = explain(detector, faulty, n_channels=4).iloc[0]
    start, end = faulty.index.get_indexer([event["start"], event["end"]])
    inside = slice(start, end + 1)
    errors = detector[:-1].transform(faulty)[inside].reshape(-1, 4, 4).sum(axis=(0, 1))
    order = np.argsort(-errors)
    assert event["channels"] == faulty.columns[order].tolist()
    np.testing.assert_allclose(event["shares"], errors[order] / errors.sum())


def test_expectations_are_those_of_the_network(plant):
    train, _, faulty, _ = plant
    scaler, network = RECONSTRUCTING["LSTM"].fit(train)
    expected = scaler.inverse_transform(network.reconstruct(scaler.transform(faulty)))
    expected = pd.DataFrame(expected, index=faulty.index, columns=faulty.columns)
    for event in explain(RECONSTRUCTING["LSTM"], faulty).itertuples():
        channel = event.channels[0]
        deviation = (faulty - expected).loc[event.start : event.end, channel]
        at = deviation.abs().idxmax()
        assert event.reading == faulty.loc[at, channel]
        assert event.expected == pytest.approx(expected.loc[at, channel], rel=1e-4)


def test_the_cause_of_several_events_by_rate(plant):
    train, _, faulty, events = plant
    detector = RECONSTRUCTING["PCA on windows"].fit(train)
    known = np.zeros(len(faulty), dtype=bool)
    for event in events.itertuples():
        known |= (faulty.index >= event.start) & (faulty.index <= event.end)
    explained = explain(detector, faulty, flagged=known, n_channels=4)
    assert explained["start"].tolist() == events["start"].tolist()
    shares = pd.DataFrame(
        [
            dict(zip(event.channels, event.shares, strict=True))
            for event in explained.itertuples()
        ],
        columns=faulty.columns,
    ).fillna(0)
    assert channel_hit_rate([[channel] for channel in events["channel"]], shares) == 1


@pytest.fixture
def levels():
    """Two constant channels, one of them off for a while, and where that is."""
    index = pd.date_range("2014-02-26 21:55", periods=30, freq="5min")
    X = pd.DataFrame({"sensor_3": 40.2, "other": 1.0}, index=index)
    flagged = np.zeros(30, dtype=bool)
    flagged[2:12] = flagged[25:28] = flagged[29] = True
    X.loc[flagged, "sensor_3"] += 12.1
    return X, flagged


def known_shares(detector, X, rows):
    return np.tile([0.81, 0.19], (len(rows), 1))


def test_sentences(levels):
    X, flagged = levels
    detector = forest().fit(X)
    options = {"flagged": flagged, "attribution": known_shares}
    what = "sensor_3 12.1 above usual 40.2; 81 % of the error"
    assert explain(detector, X, **options)["sentence"].tolist() == [
        f"2014-02-26 22:05 to 22:50: {what}",
        f"2014-02-27 00:00 to 00:10: {what}",
        f"2014-02-27 00:20: {what}",
    ]
    one = explain(detector, X, **options, max_gap=13).iloc[0]
    assert one["sentence"] == f"2014-02-26 22:05 to 2014-02-27 00:20: {what}"
    assert one["duration"] == pd.Timedelta(minutes=28 * 5)
    assert len(explain(detector, X, **options, max_gap=12)) == 2


@pytest.mark.parametrize(
    ("index", "start"),
    [
        (pd.date_range("2024-01-01", periods=30, freq="20s"), "2024-01-01 00:00:40 to"),
        (
            pd.date_range("2024-01-01", periods=30, freq="1ms"),
            "2024-01-01 00:00:00.002",
        ),
        (pd.RangeIndex(100, 130), "Rows 102 to 111: sensor_3 12.1"),
        (pd.Index([f"r{row}" for row in range(30)]), "Rows r2 to r11: sensor_3"),
    ],
)
def test_labels_of_rows(levels, index, start):
    X, flagged = levels
    X.index = index
    detector = forest().fit(X)
    events = explain(detector, X, flagged=flagged, attribution=known_shares)
    assert events["sentence"][0].startswith(start)
    assert events["start"].tolist() == index[[2, 25, 29]].tolist()
    if not isinstance(index, pd.DatetimeIndex):
        assert events["duration"].tolist() == [10, 3, 1]


@pytest.mark.parametrize(
    ("reading", "usual", "text"),
    [
        (1234567.0, 1200000.0, "34,567 above usual 1,200,000;"),
        (0.456, 0.45612, "0.000120 below usual 0.456120;"),
        (1e-9, 0.0, "1e-09 above usual 0;"),
        (40.2, 40.2, "as usual, 40.2;"),
        (np.nan, 40.2, "missing;"),
    ],
)
def test_numbers_have_the_digits_that_matter(reading, usual, text):
    X = np.full((5, 2), usual)
    X[2, 0] = reading
    detector = forest().fit(np.zeros((5, 2)))
    (sentence,) = explain(
        detector, X, flagged=np.arange(5) == 2, attribution=known_shares
    )["sentence"]
    assert sentence == f"Row 2: channel 0 {text} 81 % of the error"


def test_missing_readings_are_named():
    X = np.full((6, 4), 1.0)
    detector = forest().fit(X)
    X[[2, 3], 0] = X[2, 1] = X[4, 2] = X[2:5, 3] = np.nan
    for reading, said in (
        (3.0, "missing in 2 of 3 rows, 2.00 above usual 1.00"),
        (np.nan, "missing"),
    ):
        X[4, 0] = reading
        (sentence,) = explain(
            detector,
            X,
            flagged=np.isin(np.arange(6), [2, 3, 4]),
            attribution=lambda *_: np.tile([4.0, 1.0, 0.0, 0.0], (3, 1)),
        )["sentence"]
        assert sentence == (
            f"Rows 2 to 4: channel 0 {said}; 80 % of the error; "
            "channel 1 missing in 1 of 3 rows; channel 2 missing in 1 of 3 rows; "
            "channel 3 missing"
        )


def test_a_few_missing_readings_are_not_worth_a_word():
    X = np.full((30, 2), 1.0)
    detector = forest().fit(X)
    X[5:26, 0], X[[7, 12], 0], X[8:11, 1] = 3.0, np.nan, np.nan
    (sentence,) = explain(
        detector,
        X,
        flagged=np.isin(np.arange(30), np.arange(5, 26)),
        attribution=lambda *_: np.tile([4.0, 1.0], (21, 1)),
    )["sentence"]
    assert sentence == (
        "Rows 5 to 25: channel 0 2.00 above usual 1.00; 80 % of the error; "
        "channel 1 missing in 3 of 21 rows"
    )


def test_a_channel_without_a_usual_reading():
    X = np.full((5, 2), np.nan)
    X[:, 1] = 1.0
    detector = forest().fit(np.zeros((5, 2)))
    X[2, 0] = 40.2
    (sentence,) = explain(
        detector, X, flagged=np.arange(5) == 2, attribution=known_shares
    )["sentence"]
    assert sentence == "Row 2: channel 0 at 40.2; 81 % of the error"
    X = np.full((40, 2), np.nan)
    X[:, 1], X[6:30, 0] = 1.0, 40.2
    (sentence,) = explain(
        detector,
        X,
        flagged=(np.arange(40) >= 5) & (np.arange(40) < 30),
        attribution=lambda *_: np.tile([4.0, 1.0], (25, 1)),
    )["sentence"]
    assert sentence == "Rows 5 to 29: channel 0 at 40.2; 80 % of the error"


@pytest.mark.parametrize("dtype", ["Float64", "Int64", "float32"])
@pytest.mark.parametrize("attribution", ["auto", "occlusion"])
def test_types_of_pandas(dtype, attribution):
    """Readings of `pd.NA` are missing ones."""
    X = pd.DataFrame(100 * wave(300, 3), columns=list("abc")).round()
    detector = make_pipeline(
        StandardScaler(), AutoregressiveDetector(lags=2, window_size=8)
    ).fit(X)
    X.iloc[50:53, 1], X.iloc[51, 2] = 900, np.nan
    expected = explain(detector, X, attribution=attribution)
    assert "b" in expected["channels"].iloc[0]
    found = explain(detector, X.astype(dtype), attribution=attribution)
    pd.testing.assert_frame_equal(found, expected, rtol=1e-4)


def test_events_do_not_cross_a_break():
    X = wave(300, 2)
    detector = make_pipeline(StandardScaler(), *pca(n_components=1)).fit(X)
    X = np.concatenate([X[:50], np.full((1, 2), np.nan), X[:50]])
    flagged = np.isin(np.arange(101), [47, 48, 49, 51, 52, 54])
    events = explain(detector, X, flagged=flagged, max_gap=5)
    assert events["start"].tolist() == [47, 51]
    assert events["end"].tolist() == [49, 54]


def test_an_array_has_positions():
    X = wave(300, 3)
    detector = make_pipeline(StandardScaler(), *pca(n_components=2)).fit(X)
    X[50:53, 1] = 9
    event = explain(detector, X).query("start == 50").iloc[0]
    assert (event["end"], event["duration"]) == (52, 3)
    assert event["channels"][0] == 1
    assert event["sentence"].startswith("Rows 50 to 52: channel 1 ")


def test_without_events():
    X = pd.DataFrame(
        np.zeros((20, 2)), index=pd.date_range("2024-01-01", periods=20, freq="min")
    )
    for series in (X, X.to_numpy()):
        detector = forest().fit(series)
        some = explain(detector, series, flagged=np.ones(20))
        none = explain(detector, series, flagged=np.zeros(20))
        assert not len(none)
        assert none.drop(columns=["channels", "shares", "sentence"]).dtypes.equals(
            some.drop(columns=["channels", "shares", "sentence"]).dtypes
        )


def test_breaks_are_no_events(plant):
    train, _, faulty, _ = plant
    faulty = faulty.copy()
    faulty.iloc[100:103] = np.nan
    detector = RECONSTRUCTING["LSTM"].fit(train)
    flagged = np.zeros(len(faulty), dtype=bool)
    flagged[98:105] = True
    events = explain(detector, faulty, flagged=flagged)
    assert events["start"].tolist() == faulty.index[[98, 103]].tolist()
    assert events["end"].tolist() == faulty.index[[99, 104]].tolist()
    assert events[["reading", "expected"]].notna().all(axis=None)


def test_pieces_give_what_the_whole_series_gives(plant):
    train, _, faulty, _ = plant
    rows = np.array([0, 1, 40, 41, 300, 599])
    for name in ("LSTM", "PCA on windows", "union"):
        detector = RECONSTRUCTING[name].fit(train)
        everything = np.arange(len(faulty))
        normal = np.ones(len(faulty), dtype=bool)
        for function, options in (
            (channel_errors, [normal]),
            (expected_readings, []),
        ):
            if name == "union" and function is channel_errors:
                continue  # occlusion replaces what is to be explained
            whole = function(detector, faulty, everything, *options)[rows]
            np.testing.assert_allclose(
                function(detector, faulty, rows, *options), whole, rtol=1e-3, atol=1e-5
            )


def test_fitted_detectors_and_searches_are_opened(plant):
    train, _, faulty, _ = plant
    pipeline = RECONSTRUCTING["PCA"].fit(train)
    expected = explain(pipeline, faulty)
    y = np.zeros(len(train), dtype=int)
    y[[5, 600, 1200, 1900]] = 1
    search = GridSearchCV(
        pipeline,
        {"reconstructionthreshold__quantile": [0.99]},
        scoring=make_anomaly_scorer("roc_auc"),
        cv=3,
    ).fit(train, y)
    frozen = make_pipeline(FrozenEstimator(pipeline[:-1]), pipeline[-1])
    for detector in (FrozenEstimator(pipeline), frozen, search):
        pd.testing.assert_frame_equal(explain(detector, faulty), expected)


def test_channels_that_are_left_out_have_no_share(plant):
    train, _, faulty, _ = plant
    train, faulty = train.copy(), faulty.copy()
    train.insert(1, "constant", 5.0)
    faulty.insert(1, "constant", 5.0)
    detector = make_pipeline(
        VarianceThreshold(),
        StandardScaler(),
        WindowTransformer(3),
        *pca(n_components=4),
    ).fit(train)
    events = explain(detector, faulty, n_channels=5)
    assert (events["channels"].str.len() == 4).all()
    assert not events["channels"].map(lambda names: "constant" in names).any()
    rows = np.arange(3)
    expected = expected_readings(detector, faulty, rows)
    assert np.isnan(expected[:, 1]).all()
    assert np.isfinite(np.delete(expected, 1, axis=1)).all()


def test_levels_below_zero(plant):
    train, *_ = plant
    level = ScoreTransformer(make_pipeline(*pca(n_components=1)), calibrate="log")
    detector = make_pipeline(StandardScaler(), level, ReconstructionThreshold())
    levels = detector.fit(train)[:-1].transform(train)[:, 0]
    rows = np.sort(np.argsort(levels)[:5])
    assert (levels[rows] < 0).all()
    normal = np.ones(len(train), dtype=bool)
    contributions = channel_errors(detector, train, rows, normal)
    assert (contributions >= 0).all()
    np.testing.assert_allclose(contributions.sum(axis=1), 1)


def test_steps_that_cannot_be_undone(plant):
    train, _, faulty, _ = plant
    detector = make_pipeline(Normalizer(), *pca(n_components=2)).fit(train)
    assert " usual " in explain(detector, faulty)["sentence"].iloc[0]
    # A function may do anything with the columns: the channels are occluded.
    swap = FunctionTransformer(lambda X: X[:, ::-1] if isinstance(X, np.ndarray) else X)
    detector = make_pipeline(swap, *pca(n_components=2)).fit(train)
    normal = np.ones(len(faulty), dtype=bool)
    assert channel_errors(detector, faulty, np.arange(5), normal) is None
    assert " usual " in explain(detector, faulty)["sentence"].iloc[0]


@pytest.mark.parametrize("states_context", [True, False])
def test_occlusion(states_context):
    """The error is the largest distance of a channel from 0 in three rows."""

    class Largest:
        def score_samples(self, X):
            distance = np.abs(X).max(axis=1)
            return -np.maximum.reduce(
                [distance, *(np.roll(distance, s) for s in (1, 2))]
            )

        def decision_function(self, X):
            return self.score_samples(X) + 5

    detector = Largest()
    if states_context:
        detector.n_context_, detector.n_lookahead_ = 2, 0
    X = np.random.default_rng(0).uniform(-1, 1, size=(200, 3))
    X[100, 1] = 9.0
    X[150, 2], X[150, 0] = 9.0, 7.0
    rows = np.array([100, 101, 102, 150])
    normal = np.ones(200, dtype=bool)
    normal[rows] = False
    contributions = occlude(detector, X, rows, normal)
    assert (contributions >= 0).all()
    np.testing.assert_allclose(contributions[:3, 1], 8, atol=0.2)
    assert not contributions[:3, [0, 2]].any()
    # Without channel 2, channel 0 remains.
    np.testing.assert_allclose(contributions[3], [0, 0, 2])


def test_occlusion_keeps_gaps():
    X = np.random.default_rng(0).normal(size=(500, 2))
    X[::7, 1] = np.nan
    detector = forest().fit(X)
    X[100:103, 0] = 9
    event = explain(detector, X, flagged=(X[:, 0] == 9)).iloc[0]
    assert event["channels"][0] == 0


def test_occlusion_on_request(plant):
    train, _, faulty, events = plant
    detector = RECONSTRUCTING["PCA"].fit(train)
    first = events.iloc[0]
    flagged = (faulty.index >= first["start"]) & (faulty.index <= first["end"])
    explained = explain(detector, faulty, flagged=flagged, attribution="occlusion")
    assert explained["channels"][0][0] == first["channel"]
    shares = explain(detector, faulty, flagged=flagged)["shares"][0]
    assert explained["shares"][0] != shares


def test_attribution_by_a_function(plant):
    train, _, faulty, _ = plant
    detector = forest().fit(train)
    seen = []

    def attribution(detector, X, rows):
        seen.append((detector, X, rows))
        return np.tile([-3.0, 2.0, 0.0, 6.0], (len(rows), 1))

    events = explain(detector, faulty, attribution=attribution)
    ((given, X, rows),) = seen
    assert given is detector
    assert X is faulty
    np.testing.assert_array_equal(rows, np.flatnonzero(detector.predict(faulty) == -1))
    assert events["channels"][0] == ["sensor_4", "sensor_2"]
    assert events["shares"][0] == pytest.approx([0.75, 0.25])
    for wrong in (np.zeros((len(rows), 3)), np.full((len(rows), 4), np.nan)):
        with pytest.raises(ValueError, match="attribution"):
            explain(detector, faulty, attribution=lambda *_, result=wrong: result)


def test_nothing_explains_it(levels):
    X, flagged = levels
    events = explain(
        forest().fit(X),
        X,
        flagged=flagged,
        attribution=lambda detector, X, rows: np.zeros((len(rows), 2)),
    )
    assert events["channels"].tolist() == [[], [], []]
    assert events["sentence"].str.endswith("no channel alone explains it").all()
    assert events[["reading", "expected"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flagged": np.zeros(29)}, "each of the 30 rows of X"),
        ({"flagged": np.full(30, -1)}, "labels == -1"),
        ({"attribution": "shap"}, "'attribution' parameter"),
        ({"n_channels": 0}, "'n_channels' parameter"),
        ({"max_gap": -1}, "'max_gap' parameter"),
    ],
)
def test_bad_parameters(levels, options, message):
    X, _ = levels
    with pytest.raises(ValueError, match=message):
        explain(forest().fit(X), X, **options)


def test_a_detector_that_does_not_tell_its_threshold():
    class Scores:
        def fit(self, X, y=None):
            return self

        def score_samples(self, X):
            return -np.abs(X).max(axis=1)

    X = np.zeros((20, 2))
    X[7, 1] = 5
    with pytest.raises(ValueError, match="threshold"):
        explain(Scores(), X)
    event = explain(Scores(), X, flagged=X[:, 1] > 0).iloc[0]
    assert event["channels"] == [1]


def test_what_is_no_detector_or_series(levels):
    X, _ = levels
    with pytest.raises(ValueError, match="novelty=True"):
        explain(LocalOutlierFactor().fit(X), X)
    with pytest.raises(ValueError, match=r"X.reshape\(-1, 1\)"):
        explain(forest().fit(X), X["other"].to_numpy())


def test_a_network_alone(plant):
    train, _, faulty, events = plant
    scaler = StandardScaler().set_output(transform="pandas").fit(train)
    network = LSTMAutoencoderDetector(
        8, units=(8,), latent_dim=None, epochs=3, random_state=0
    ).fit(scaler.transform(train))
    explained = explain(network, scaler.transform(faulty))
    named = explained["channels"].str[0]
    assert set(events["channel"]) <= set(named)


@pytest.mark.parametrize("name", [*RECONSTRUCTING, *OTHERS])
@pytest.mark.parametrize("in_blocks", [False, True])
def test_scores_and_channels_of_one_run_are_those_of_two(
    name, in_blocks, plant, monkeypatch
):
    train, _, faulty, _ = plant
    detector = clone((RECONSTRUCTING | OTHERS)[name]).fit(train[:500])
    faulty = faulty.copy()
    faulty.iloc[200:210, 0] *= 20
    if name.startswith("LSTM"):  # which takes breaks and missing readings
        faulty.iloc[100] = np.nan
        faulty.iloc[150:160, 1] = np.nan
    if in_blocks:
        monkeypatch.setattr("tsanomaly._inspection._BLOCK_READINGS", 100)
        monkeypatch.setattr("tsanomaly._inspection._FEWEST_ROWS", 50)
        monkeypatch.setattr("tsanomaly._inspection._TIMES_CONTEXT", 1)
    both = score_channels(detector, faulty)
    if name in ("union", "ensemble", "cascade", *OTHERS):
        assert both is None  # their channels follow from other numbers than the score
        return
    errors, contributions = both
    expected = detector_errors(detector, faulty)
    np.testing.assert_allclose(errors, expected, rtol=1e-5)
    rows = np.flatnonzero(~np.isnan(expected))
    normal = np.ones(len(faulty), dtype=bool)
    # As parts of their row, whose channels need not be as exact as their sum.
    scale = expected[rows, None]
    np.testing.assert_allclose(
        contributions[rows] / scale,
        channel_errors(detector, faulty, rows, normal) / scale,
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize("name", ["transform", "score_samples"])
def test_scores_of_a_subclass_are_its_own(name, plant):
    class Own(LSTMAutoencoderDetector):
        pass

    setattr(Own, name, lambda self, X: getattr(super(Own, self), name)(X))
    train, _, faulty, _ = plant
    detector = Own(8, units=(8,), epochs=1, random_state=0)
    assert (
        score_channels(detector.fit(StandardScaler().fit_transform(train)), faulty)
        is None
    )


@pytest.mark.parametrize("name", ["PCA on windows", "LSTM, a threshold for each"])
def test_blocks_of_rows_give_what_all_rows_give(name, plant, monkeypatch):
    """Errors of all windows of many channels would take gigabytes."""
    train, _, faulty, _ = plant
    detector = clone(RECONSTRUCTING[name]).fit(train[:500])
    rows, normal = np.arange(40, 300), np.ones(len(faulty), dtype=bool)

    def results():
        yield channel_errors(detector, faulty, rows, normal)
        yield expected_readings(detector, faulty, rows)

    whole = list(results())
    monkeypatch.setattr("tsanomaly._attribution._MOST_VALUES", 1000)
    for part, expected in zip(results(), whole, strict=True):
        np.testing.assert_allclose(part, expected, rtol=1e-4, atol=1e-6)


def test_a_subclass_may_have_its_own_errors_and_expectations(plant):
    """Those of selected rows do not go past the methods of a subclass."""

    class Swapped(LSTMAutoencoderDetector):
        def transform(self, X):
            return super().transform(X)[:, ::-1]

        def reconstruct(self, X):
            return super().reconstruct(X) + 100

    train, test = plant[:2]
    parameters = lstm().get_params(deep=False)
    usual = LSTMAutoencoderDetector(**parameters).fit(train)
    other = Swapped(**parameters).fit(train)
    rows, normal = np.array([50, 90]), np.ones(len(test), dtype=bool)
    np.testing.assert_allclose(
        channel_errors(other, test, rows, normal),
        channel_errors(usual, test, rows, normal)[:, ::-1],
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        expected_readings(other, test, rows), expected_readings(usual, test, rows) + 100
    )


def test_steps_of_frames_are_given_frames(plant):
    """A step that was fitted on names would warn of an array."""
    train, _, faulty, _ = plant
    detector = make_pipeline(
        StandardScaler(), AutoregressiveDetector(), ReconstructionThreshold()
    ).set_output(transform="pandas")
    detector.fit(train)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        errors, _ = score_channels(detector, faulty)
    np.testing.assert_allclose(errors, detector_errors(detector, faulty))
