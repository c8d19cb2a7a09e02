# SPDX-License-Identifier: MIT
"""The alarms of a stream are those of the rows so far, however these arrive."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.helpers import run_python, wave
from tsanomaly import (
    AlarmFilter,
    AutoregressiveDetector,
    EnsembleDetector,
    ReconstructionError,
    ReconstructionThreshold,
    ScoreTransformer,
    StreamingDetector,
    WindowNeighborsDetector,
    WindowTransformer,
    explain,
    load,
    make_ensemble,
    save,
)
from tsanomaly._stream_state import WatchedStream, advance, restore, state_of


def forecasts():
    return AutoregressiveDetector(lags=1, window_size=3)


DETECTORS = {
    "forecasts": forecasts(),
    "scaled": make_pipeline(
        StandardScaler(), forecasts(), ReconstructionThreshold(quantile=0.97)
    ),
    "each": make_pipeline(
        StandardScaler(), forecasts(), ReconstructionThreshold(channels="each")
    ),
    "ensemble": make_pipeline(StandardScaler(), make_ensemble("drop", random_state=0)),
    "mean": EnsembleDetector(
        [
            ("forecasts", forecasts()),
            ("neighbors", WindowNeighborsDetector(4, random_state=0)),
        ]
    ),
    "pca": make_pipeline(
        WindowTransformer(4), ReconstructionError(PCA(3)), ReconstructionThreshold()
    ),
    "forest": make_pipeline(
        ScoreTransformer(IsolationForest(n_estimators=9, random_state=0)),
        ReconstructionThreshold(quantile=0.97),
    ),
}
NAMED = [name for name in DETECTORS if name != "forest"]  # that tell the channels
COLUMNS = ["start", "end", "raised", "peak", "score", "severity", "priority", "state"]
COLUMNS += ["channels", "shares"]

# Alarms that end within the series, and of which there are several.
RULES = {"off_delay": 4, "deadband": 0.2}


def framed(X):
    times = pd.date_range("2024-03-01", periods=len(X), freq="7min")
    return pd.DataFrame(X, columns=["pressure", "flow"], index=times)


def with_faults(n_timestamps=100, breaks=True):
    X = wave(n_timestamps)
    X[20:26, 1] += 4
    X[29] -= 2
    X[60:63, 0] -= 6
    X[-3:, 1] += 5
    if breaks:
        X[[24, 80]] = np.nan
    return X


@pytest.fixture(scope="module")
def detectors():
    return {name: clone(d).fit(framed(wave(300))) for name, d in DETECTORS.items()}


@pytest.fixture(scope="module")
def of_arrays():
    return {name: clone(d).fit(wave(300)) for name, d in DETECTORS.items()}


def assert_as_explained(found, detector, X, alarm_filter, named=True):
    """Raise unless the alarms of a stream are those of the batch."""
    expected = explain(detector, X, alarm_filter=alarm_filter)
    assert found.columns.tolist() == COLUMNS
    for name in ("start", "end", "raised", "peak", "priority", "state"):
        assert found[name].tolist() == expected[name].tolist()
    for name in ("score", "severity"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-3)
    if named:
        assert found["channels"].tolist() == expected["channels"].tolist()
        for shares, others in zip(found["shares"], expected["shares"], strict=True):
            assert shares == pytest.approx(others, abs=1e-3)
    return expected


def in_pieces(stream, X, sizes=(1,)):
    """Pass rows on, so many at a time; single ones go to `update`."""
    start, number = 0, 0
    while start < len(X):
        size = sizes[number % len(sizes)]
        rows = X[start : start + size]
        if size != 1:
            stream.update_many(rows)
        else:
            stream.update(rows.iloc[0] if hasattr(rows, "iloc") else rows[0])
        start, number = start + size, number + 1
    return stream


# The same as for the whole series


@pytest.mark.parametrize("sizes", [(1,), (7,), (1, 30), (1000,)])
@pytest.mark.parametrize("kind", ["array", "frame"])
@pytest.mark.parametrize("name", NAMED)
def test_as_for_the_whole_series(detectors, of_arrays, name, kind, sizes):
    X = with_faults()
    if kind == "array":
        detector = of_arrays[name]
    else:
        X, detector = framed(X), detectors[name]
    for rules in ({}, RULES):
        stream = StreamingDetector(detector, AlarmFilter(**rules))
        found = in_pieces(stream, X, sizes).alarms()
        assert_as_explained(found, detector, X, AlarmFilter(**rules))
        assert len(found) > 1
        assert found["state"].iloc[-1] == "active"
        assert found["channels"].map(len).min() > 0


@pytest.mark.parametrize("kind", ["array", "frame"])
def test_a_detector_that_does_not_tell_channels(detectors, of_arrays, kind):
    """As `explain` has normal rows to put in place of others, and a stream has not."""
    X, detector = with_faults(breaks=False), of_arrays["forest"]
    if kind == "frame":
        X, detector = framed(X), detectors["forest"]
    alarm_filter = AlarmFilter(trigger=0, **RULES)
    found = in_pieces(StreamingDetector(detector, alarm_filter), X, (1, 30)).alarms()
    assert_as_explained(found, detector, X, alarm_filter, named=False)
    assert len(found) > 1


@pytest.mark.parametrize("name", ["forecasts", "scaled", "ensemble"])
def test_missing_readings(detectors, name):
    X = framed(with_faults())
    X.iloc[19:24, 0] = np.nan
    X.iloc[61, 1] = np.nan
    detector = detectors[name]
    stream = StreamingDetector(detector, AlarmFilter(**RULES))
    found = in_pieces(stream, X, (1, 5)).alarms()
    assert_as_explained(found, detector, X, AlarmFilter(**RULES))


@given(
    st.lists(st.sampled_from([0.0, 0.0, 0.0, 2.0, 6.0, np.nan]), max_size=40),
    st.lists(st.integers(1, 12), min_size=1, max_size=4),
    st.fixed_dictionaries(
        {
            "trigger": st.sampled_from([0, 0.5, 2.0]),
            "on_delay": st.integers(1, 2),
            "decay": st.sampled_from([0.1, 1.0, 2.0]),
            "off_delay": st.sampled_from([1, 4, 15]),
            "tracking": st.sampled_from([0.0, 0.1]),
        }
    ),
)
@settings(max_examples=30)
def test_any_series_in_any_pieces(of_arrays, offsets, sizes, rules):
    detector, X = of_arrays["forecasts"], wave(42)[: len(offsets) + 2]
    X[2:, 1] += offsets
    X[np.isnan(X).any(axis=1)] = np.nan
    stream = StreamingDetector(detector, AlarmFilter(**rules))
    found = in_pieces(stream, X, sizes).alarms()
    assert_as_explained(found, detector, X, AlarmFilter(**rules))


def test_the_alarms_so_far(of_arrays):
    """At every row, those of the series up to there."""
    X, detector = with_faults(), of_arrays["scaled"]
    stream = StreamingDetector(detector, AlarmFilter(**RULES))
    states = set()
    for t, row in enumerate(X):
        stream.update(row)
        found = stream.alarms()
        states.add(tuple(found["state"]))
        if t > 3 and not t % 3:
            assert_as_explained(found, detector, X[: t + 1], AlarmFilter(**RULES))
    assert {(), ("active",), ("cleared",), ("cleared", "active")} <= states


def test_scores_and_flags_do_not_depend_on_a_filter(of_arrays):
    X = with_faults()
    plain = StreamingDetector(of_arrays["scaled"]).update_many(X)
    with_alarms = StreamingDetector(of_arrays["scaled"], AlarmFilter()).update_many(X)
    np.testing.assert_array_equal(with_alarms, plain)


def test_its_own_threshold(of_arrays):
    X, detector = with_faults(), of_arrays["forecasts"]
    alarm_filter = AlarmFilter(threshold=2.0, **RULES)
    found = in_pieces(StreamingDetector(detector, alarm_filter), X).alarms()
    assert_as_explained(found, detector, X, alarm_filter)
    assert -detector.offset_ != 2.0
    assert (found["score"] < -2).all()


def test_channels_are_not_guessed_from_the_fault_itself():
    """Windows of a long fault hold nothing that could take its place."""
    forest = make_pipeline(WindowTransformer(4), IsolationForest(random_state=0))
    detector = make_pipeline(ScoreTransformer(forest), ReconstructionThreshold())
    X = wave(300)
    detector.fit(X)
    X[100:140, 1] += 6
    stream = StreamingDetector(detector, alarm_filter=AlarmFilter())
    for row in X[:200]:
        stream.update(row)
    (channels,) = stream.alarms()["channels"]
    assert channels == []
    assert explain(detector, X, alarm_filter=AlarmFilter())["channels"][0][0] == 1


def test_how_many_channels(detectors):
    stream = StreamingDetector(detectors["scaled"], AlarmFilter())
    stream.update_many(framed(with_faults()))
    assert stream.alarms()["channels"].map(len).max() == 2
    few = stream.alarms(n_channels=1)
    assert few["channels"].map(len).tolist() == [1] * len(few)
    assert few["channels"].str[0].tolist() == (
        stream.alarms()["channels"].str[0].tolist()
    )
    for n_channels in (0, -1, 1.5):
        with pytest.raises((ValueError, TypeError), match="n_channels"):
            stream.alarms(n_channels)


def test_times(detectors):
    """Alarms are told by times if all of their rows came with one, without its zone."""
    X = framed(with_faults())
    stream = StreamingDetector(detectors["forecasts"], AlarmFilter(**RULES))
    in_pieces(stream, X.tz_localize("Europe/Berlin"), (1, 9))
    assert_as_explained(
        stream.alarms(), detectors["forecasts"], X, AlarmFilter(**RULES)
    )
    with_times = stream.alarms()
    stream.reset()
    stream.update_many(X.reset_index(drop=True))
    numbers = stream.alarms()
    for name in COLUMNS[:4]:
        assert X.index[numbers[name]].tolist() == with_times[name].tolist()


# A stream that goes on


def copy_of(stream, how, folder):
    """Copy a stream by `copy` or `deepcopy`, or through a 'pickle' or a 'file'."""
    if how == "file":
        save(stream, folder / "stream.skops")
        return load(folder / "stream.skops")
    if how == "pickle":
        return pickle.loads(pickle.dumps(stream))
    return getattr(copy, how)(stream)


@pytest.mark.parametrize("copied", ["pickle", "file", "deepcopy", "copy"])
@pytest.mark.parametrize("middle", [22, 28, 61])
@pytest.mark.parametrize("name", ["scaled", "mean"])
def test_it_goes_on_in_the_middle_of_an_alarm(
    detectors, name, middle, copied, tmp_path
):
    X, detector = framed(with_faults()), detectors[name]
    stream = StreamingDetector(detector, AlarmFilter(**RULES))
    stream.update_many(X[:middle])
    before = stream.alarms()
    other = copy_of(stream, copied, tmp_path)
    pd.testing.assert_frame_equal(other.alarms(), before)
    other.update_many(X[middle:])
    assert_as_explained(other.alarms(), detector, X, AlarmFilter(**RULES))
    # The one that it was copied from is where it was, and goes on by itself.
    pd.testing.assert_frame_equal(stream.alarms(), before)
    in_pieces(stream, X[middle:], (1, 4))
    assert_as_explained(stream.alarms(), detector, X, AlarmFilter(**RULES))


@pytest.fixture(scope="module")
def stray():
    """A detector, and rows with an alarm in rows 40 to 43 and a stray row 80."""
    rng = np.random.default_rng(1)

    def related(n_rows):
        common = rng.normal(size=(n_rows, 1)) @ [[1.0, 0.5, -1.0, 0.7, 0.3]]
        return common + 0.3 * rng.normal(size=(n_rows, 5))

    detector = make_pipeline(
        ReconstructionError(PCA(1)), ReconstructionThreshold(quantile=0.99)
    ).fit(related(600))
    X = 0.3 * related(150)
    X[40:44, 0] += 3.0
    X[40:44, 1] += 2.5
    X[40:44, 3] -= 2.5
    X[80, 3] -= 4.6
    return detector, X


def going_on(X):
    """The rows with more of the alarm in rows 84 to 87."""
    X = X.copy()
    X[84:88, 2] += 3.0
    return X


SLOW = AlarmFilter(max_excess=0.5)  # a single row raises no alarm


@pytest.mark.parametrize("goes_on", [False, True])
@pytest.mark.parametrize("copied", ["pickle", "file", "deepcopy"])
def test_a_stray_row_counts_only_if_the_alarm_goes_on(stray, copied, goes_on, tmp_path):
    detector, X = stray
    X = going_on(X) if goes_on else X
    stream = StreamingDetector(detector, SLOW)
    in_pieces(stream, X[:82], (7,))
    stream = copy_of(stream, copied, tmp_path)
    found = stream.alarms()
    assert found[["start", "end", "state"]].values.tolist() == [[40, 43, "active"]]
    assert_as_explained(found, detector, X[:82], SLOW)
    stream.update_many(X[82:])
    found = stream.alarms()
    assert found["end"].tolist() == [87 if goes_on else 43]
    assert_as_explained(found, detector, X, SLOW)


@pytest.mark.parametrize("size", [1, 7, 150])
@pytest.mark.parametrize("goes_on", [False, True])
def test_a_watch_reports_readings_of_the_alarm_only(stray, goes_on, size):
    detector, X = stray
    X = going_on(X) if goes_on else X
    times = np.full(len(X), "NaT", "datetime64[ns]")
    watched, last = WatchedStream(detector, SLOW), {}
    for start in range(0, len(X), size):
        part = slice(start, start + size)
        alarms = advance(watched, X[part], times[part], 5)[2]
        last |= {alarm["number"]: alarm for alarm in alarms}
        other = WatchedStream(detector, SLOW)
        restore(other, state_of(watched), X[: part.stop], times[: part.stop])
        watched = other
    [alarm] = last.values()
    [expected] = explain(detector, X, alarm_filter=SLOW).to_dict("records")
    assert alarm["end"] == expected["end"] == (87 if goes_on else 43)
    assert alarm["channels"][:3] == expected["channels"]
    assert alarm["readings"][0] == pytest.approx(expected["reading"])
    assert alarm["expected"][0] == pytest.approx(expected["expected"])
    place = alarm["channels"].index(3)
    assert (alarm["readings"][place] == X[80, 3]) == goes_on


def test_it_goes_on_in_another_process(of_arrays, tmp_path):
    X, path = with_faults(), tmp_path / "stream.pickle"
    stream = StreamingDetector(of_arrays["scaled"], AlarmFilter(**RULES))
    stream.update_many(X[:23])
    path.write_bytes(pickle.dumps(stream))
    code = f"""
import pickle
from pathlib import Path
stream = pickle.loads(Path({str(path)!r}).read_bytes())
stream.update_many({X[25:40].tolist()})
print(stream.alarms()[["start", "end", "severity"]].to_numpy().ravel().tolist())
"""
    stream.update_many(X[25:40])
    expected = stream.alarms()[["start", "end", "severity"]].to_numpy().ravel()
    assert eval(run_python(code)) == pytest.approx(expected.tolist())


def test_reset_forgets(of_arrays):
    X = with_faults()
    stream = StreamingDetector(of_arrays["scaled"], AlarmFilter())
    first = in_pieces(stream, X, (9,)).alarms()
    stream.reset()
    none = stream.alarms()
    assert len(none) == 0
    assert none.columns.tolist() == COLUMNS
    pd.testing.assert_frame_equal(in_pieces(stream, X, (9,)).alarms(), first)


@pytest.mark.parametrize(
    "rows",
    [
        [[9.0, 9.0], [9.0, "a"]],
        [[9.0, 9.0, 9.0]] * 3,
        [[9.0, 9.0], [np.inf, 9.0]],
        [[9.0, 9.0], [np.nan, np.nan], [1e300, np.inf]],
    ],
    ids=["text", "three channels", "infinity", "infinity after a break"],
)
def test_a_call_that_raises_changes_nothing(of_arrays, rows):
    X, detector = with_faults(), of_arrays["scaled"]
    stream = StreamingDetector(detector, AlarmFilter(**RULES))
    stream.update_many(X[:22])
    before = stream.alarms()
    assert before["state"].tolist() == ["active"]
    with pytest.raises(ValueError, match=r"number|channels|infinity|inf"):
        stream.update_many(rows)
    pd.testing.assert_frame_equal(stream.alarms(), before)
    stream.update_many(X[22:])
    assert_as_explained(stream.alarms(), detector, X, AlarmFilter(**RULES))


def test_an_attribution_that_raises_changes_nothing(of_arrays, monkeypatch):
    X, detector = with_faults(), of_arrays["scaled"]
    stream = StreamingDetector(detector, AlarmFilter(**RULES))
    stream.update_many(X[:22])
    before = stream.alarms()

    def fail(*arguments, **named):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("tsanomaly._streaming.channel_errors", fail)
        with pytest.raises(MemoryError):
            stream.update_many(X[22:40])
    pd.testing.assert_frame_equal(stream.alarms(), before)
    stream.update_many(X[22:])
    assert_as_explained(stream.alarms(), detector, X, AlarmFilter(**RULES))


def test_warming_up_makes_no_alarm(of_arrays):
    X, detector = with_faults(), of_arrays["scaled"]
    stream = StreamingDetector(detector, AlarmFilter(**RULES)).warm_up(X[:24])
    assert len(stream.alarms()) == 0
    # The row after it is judged with that context, and numbered from 0 on.
    stream.update_many(X[60:70])
    alarm = stream.alarms().iloc[0]
    assert (alarm["start"], alarm["state"]) == (0, "cleared")


def test_no_rows(of_arrays):
    stream = StreamingDetector(of_arrays["scaled"], AlarmFilter())
    stream.update_many(np.empty((0, 2)))
    assert len(stream.alarms()) == 0
    stream.update_many(with_faults())
    before = stream.alarms()
    stream.update_many(np.empty((0, 2)))
    pd.testing.assert_frame_equal(stream.alarms(), before)


def test_the_last_thousand_are_kept(of_arrays):
    detector = of_arrays["forecasts"]
    X = np.tile(wave(12), (1_100, 1))
    X[6::12, 1] += 9
    alarm_filter = AlarmFilter(off_delay=1, decay=100)
    stream = StreamingDetector(detector, alarm_filter)
    in_pieces(stream, X, (5_000,))
    found = stream.alarms()
    expected = explain(detector, X, alarm_filter=alarm_filter)
    assert len(expected) > 1_000 <= len(found) <= 1_001  # with one that is active
    last = expected[-len(found) :]
    for name in ("start", "end", "raised", "peak", "channels"):
        assert found[name].tolist() == last[name].tolist()
    size = len(pickle.dumps(stream))
    in_pieces(stream, X, (5_000,))
    assert len(pickle.dumps(stream)) == pytest.approx(size, rel=0.01)


# What is refused


def test_without_a_filter(of_arrays):
    stream = StreamingDetector(of_arrays["scaled"])
    stream.update_many(with_faults())
    with pytest.raises(AttributeError, match=r"alarm_filter=AlarmFilter\(\)"):
        stream.alarms()


@pytest.mark.parametrize("value", [True, "auto", AlarmFilter, {"trigger": 1}])
def test_what_is_no_filter(of_arrays, value):
    with pytest.raises(TypeError, match="alarm_filter must be an AlarmFilter or None"):
        StreamingDetector(of_arrays["scaled"], value)


def test_a_detector_without_a_median_error():
    X = wave(300)
    detector = IsolationForest(n_estimators=9, random_state=0).fit(X)
    with pytest.raises(ValueError, match=r"ScoreTransformer.*median_error_"):
        StreamingDetector(detector, AlarmFilter())
    StreamingDetector(detector)  # without alarms it will do
    # The cures that are named
    StreamingDetector(
        make_pipeline(ScoreTransformer(detector), ReconstructionThreshold()).fit(X),
        AlarmFilter(),
    )
    detector.median_error_ = float(np.median(-detector.score_samples(X)))
    stream = StreamingDetector(detector, AlarmFilter(**RULES))
    found = in_pieces(stream, with_faults(breaks=False), (50,)).alarms()
    assert_as_explained(
        found,
        detector,
        with_faults(breaks=False),
        AlarmFilter(**RULES),
        named=False,
    )
