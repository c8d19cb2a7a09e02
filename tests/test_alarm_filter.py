# SPDX-License-Identifier: MIT
"""Alarms from errors of rows, against a slow loop, and alarms in `explain`."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests import reference
from tests.helpers import wave
from tsanomaly import AlarmFilter, AutoregressiveDetector, StreamingDetector, explain

COLUMNS = ["start", "end", "raised", "peak", "duration", "error", "severity"]
COLUMNS += ["priority", "state"]

# Few values, so that there are ties, with each other and with the threshold.
ERRORS = st.lists(
    st.sampled_from([0.0, 0.5, 1.0, 1.6, 2.0, 2.0, 2.2, 2.5, 3.0, 9.0, np.inf, np.nan]),
    max_size=40,
)
RULES = st.fixed_dictionaries(
    {
        "trigger": st.sampled_from([0, 0.5, 2.0]),
        "max_excess": st.sampled_from([0.5, 3.0, 100]),
        "decay": st.sampled_from([0.0, 0.1, 1.0]),
        "on_delay": st.integers(1, 3),
        "off_delay": st.integers(1, 5),
        "deadband": st.sampled_from([0.0, 0.5, 1.0]),
        "tracking": st.sampled_from([0.0, 0.3]),
    }
)


def found(errors, rules=None, threshold=2.0, median_error=1.0, **parameters):
    """Alarms as a list of dicts."""
    alarm_filter = AlarmFilter(**{**(rules or {}), **parameters})
    alarms = alarm_filter.alarms(errors, threshold=threshold, median_error=median_error)
    return alarms.to_dict("records")


# What is an alarm


@given(ERRORS, RULES, st.sampled_from([-1.0, 1.0, 1.5, 2.0, 7.0]))
@settings(max_examples=300)
def test_against_a_slow_loop(errors, rules, median_error):
    alarms = found(errors, rules, median_error=median_error)
    expected = reference.alarms(errors, 2.0, median_error, **rules)
    names = ["start", "end", "raised", "peak", "error", "priority", "state"]
    assert [[a[name] for name in names] for a in alarms] == [
        [a[name] for name in names] for a in expected
    ]
    assert [a["severity"] for a in alarms] == pytest.approx(
        [a["severity"] for a in expected]
    )
    assert [a["duration"] for a in alarms] == [
        a["end"] - a["start"] + 1 for a in alarms
    ]


@given(ERRORS, RULES)
def test_alarms_are_apart_and_hold_what_they_say(errors, rules):
    alarms, last = found(errors, rules), -1
    for alarm in alarms:
        assert last < alarm["start"] <= alarm["raised"] <= alarm["end"]
        assert alarm["start"] <= alarm["peak"] <= alarm["end"]
        inside = errors[alarm["start"] : alarm["end"] + 1]
        assert not np.isnan(inside).any()
        assert alarm["error"] == errors[alarm["peak"]]
        if not rules["tracking"]:
            assert alarm["error"] == max(inside)
        assert 0 < alarm["severity"] <= 100
        last = alarm["end"]
    assert all(alarm["state"] == "cleared" for alarm in alarms[:-1])


@given(ERRORS, RULES, st.sampled_from([0.25, 4.0]))
def test_the_unit_of_errors_makes_no_difference(errors, rules, factor):
    alarms = found(errors, rules)
    others = found(
        np.multiply(errors, factor), rules, threshold=2 * factor, median_error=factor
    )
    assert [{**alarm, "error": alarm["error"] * factor} for alarm in alarms] == others


def test_single_rows_just_above_the_threshold_are_no_alarm():
    errors = np.ones(100)
    errors[[10, 40, 70]] = 2.4
    assert found(errors) == []
    assert len(found(errors, trigger=0)) == 3 - 2  # closer than the off-delay
    assert len(found(errors, trigger=0, off_delay=29)) == 3
    # Close enough to each other, they add up.
    errors[[41, 43]] = 2.4
    alarm = found(errors, off_delay=20, trigger=0.5)[0]
    assert (alarm["start"], alarm["raised"], alarm["end"]) == (40, 41, 43)


def test_what_a_row_adds_is_limited():
    errors = np.ones(50)
    errors[10] = 1e300
    assert found(errors, trigger=3.0) == []
    assert len(found(errors, trigger=3.0, max_excess=4.0)) == 1


def test_without_decay_excess_of_long_ago_counts():
    errors = np.ones(500)
    errors[[10, 490]] = 2.3
    assert found(errors) == []
    alarm = found(errors, decay=0, trigger=0.5)[0]
    assert (alarm["start"], alarm["raised"], alarm["end"]) == (10, 490, 490)


def test_on_delay():
    errors = np.ones(60)
    errors[10:12] = errors[30:33] = 5.0
    alarms = found(errors, on_delay=3, off_delay=5, decay=10)
    assert [(a["start"], a["raised"], a["end"]) for a in alarms] == [(30, 32, 32)]


def test_bursts_shorter_than_the_on_delay_are_forgotten():
    errors = np.ones(400)
    for start in range(0, 300, 50):
        errors[start : start + 4] = 5.0
    errors[350:356] = 5.0
    alarms = found(errors, on_delay=5)
    assert [(a["start"], a["raised"], a["end"]) for a in alarms] == [(350, 354, 355)]


def test_off_delay():
    errors = np.ones(40)
    errors[[10, 20]] = 5.0
    assert len(found(errors, off_delay=10)) == 1  # nine quiet rows in between
    alarms = found(errors, off_delay=9)
    assert [a["state"] for a in alarms] == ["cleared", "cleared"]
    # The last rows belong to an alarm until as many are quiet.
    assert found(errors[:29], off_delay=9)[-1]["state"] == "active"
    assert found(errors[:30], off_delay=9)[-1]["state"] == "cleared"
    assert found(errors[:29], off_delay=9)[-1]["end"] == 20


def test_a_stray_row_does_not_prolong_an_alarm():
    errors = np.ones(200)
    errors[10:40], errors[60] = 5.0, 2.4
    [alarm] = found(errors)
    assert (alarm["start"], alarm["end"], alarm["state"]) == (10, 39, "cleared")
    # It belongs to the alarm after less than ten quiet rows.
    for n_quiet, end in [(9, 49), (10, 39)]:
        later = np.ones(200)
        later[10:40], later[40 + n_quiet] = 5.0, 2.4
        assert found(later)[0]["end"] == end
    # It keeps the alarm from being cleared, and others make it an alarm again.
    errors[110:115] = 2.4
    assert [(a["start"], a["end"]) for a in found(errors)] == [(10, 114)]
    assert len(found(errors, off_delay=40)) == 2


@pytest.mark.parametrize("on_delay", [1, 2, 3])
def test_stray_rows_do_not_add_up_for_good(on_delay):
    errors = np.ones(300)
    errors[10:40], errors[60:80:2], errors[130:132] = 5.0, 2.9, 2.01
    end = 78 if on_delay == 1 else 39
    assert found(errors, on_delay=on_delay)[0]["end"] == end


def test_the_worst_row_belongs_to_an_alarm():
    errors = np.ones(100)
    errors[10:20], errors[45] = 2.4, 2.5
    [alarm] = found(errors)
    assert (alarm["end"], alarm["peak"]) == (45, 45)


def test_deadband():
    errors = np.full(40, 0.9)
    errors[10], errors[11:20] = 5.0, 1.8
    assert found(errors)[0]["end"] == 10
    assert found(errors, deadband=0.5)[0]["end"] == 19
    assert found(errors, deadband=0.1)[0]["end"] == 10
    # An alarm that is over does not go on within the deadband.
    later = np.concatenate([errors, np.full(5, 1.8)])
    assert found(later, deadband=0.5)[0]["end"] == 19


def test_a_break_ends_an_alarm():
    errors = np.full(30, 5.0)
    errors[10] = np.nan
    alarms = found(errors)
    assert [(a["start"], a["end"]) for a in alarms] == [(0, 9), (11, 29)]
    assert [a["state"] for a in alarms] == ["cleared", "active"]
    # Nothing is accumulated, and no delay runs, across it.
    assert found([2.3, np.nan, 2.3]) == []
    assert found([5.0, np.nan, 5.0], on_delay=2) == []


def test_tracking_ends_alarms_of_a_machine_that_has_changed(rng):
    errors = rng.normal(1, 0.3, size=8000)
    errors[2000:] += 1.5
    [alarm] = found(errors)
    assert alarm["state"] == "active"
    alarms = found(errors, tracking=0.01)
    assert alarms[0]["state"] == "cleared"
    assert 2000 <= alarms[0]["start"] < 2010
    # What is far above the new level is still an alarm, and found as one.
    errors[7900:7910] += 3
    late = found(errors, tracking=0.01, off_delay=9)[-1]
    assert 7890 < late["start"] <= 7900 <= late["peak"] <= late["end"] < 7915
    # The threshold never falls below that of the detector.
    low = np.zeros(5000)
    low[4000:4003] = 2.6
    assert found(low, tracking=0.01) == found(low) != []


# What is told of it


@pytest.mark.parametrize(
    ("error", "severity", "priority"),
    [
        (2.5, 100 * (1 - 2**-0.5), "low"),
        (2.999, 50, "low"),
        (3.0, 50, "medium"),
        (4.0, 75, "medium"),
        (5.0, 87.5, "high"),
        (1e9, 100, "high"),
        (np.inf, 100, "high"),
    ],
)
def test_severity_and_priority(error, severity, priority):
    [alarm] = found([1.0, error, 1.0], trigger=0)
    assert alarm["severity"] == pytest.approx(severity, abs=0.05)
    assert alarm["priority"] == priority
    assert alarm["error"] == error


def test_the_largest_excess_counts():
    [alarm] = found([3.0, 5.0, 5.0, 2.1])
    assert (alarm["severity"], alarm["peak"]) == (87.5, 1)


def test_a_median_error_at_the_threshold():
    """The unit is small then, and not 0."""
    for median_error in (2.0, 3.0):
        [alarm] = found([2.0, 2.001, 2.0, 2.01], median_error=median_error)
        assert np.isfinite(alarm["severity"])
    [alarm] = found([0.0, 1e-9], threshold=0.0, median_error=0.0)
    assert alarm["severity"] == 100


def alarms_at(index, errors=(1, 1, 9, 9, 1, 1, 9, 1), **parameters):
    alarm_filter = AlarmFilter(off_delay=2, **parameters)
    return alarm_filter.alarms(errors, threshold=2, median_error=1, index=index)


@pytest.mark.parametrize(
    ("unit", "tz"), [("ns", None), ("s", None), ("us", "Europe/Berlin")]
)
def test_an_index_of_times(unit, tz):
    times = pd.date_range("2024-03-30", periods=8, freq="10min", tz=tz, unit=unit)
    alarms = alarms_at(times)
    assert alarms.columns.tolist() == COLUMNS
    assert alarms["start"].tolist() == [times[2], times[6]]
    assert alarms["end"].tolist() == [times[3], times[6]]
    assert alarms["raised"].tolist() == [times[2], times[6]]
    assert alarms["duration"].tolist() == [
        pd.Timedelta("20min"),
        pd.Timedelta("10min"),
    ]
    none = alarms_at(times, trigger=1e9)
    assert len(none) == 0
    assert none.dtypes.tolist() == alarms.dtypes.tolist()


@pytest.mark.parametrize(
    "index",
    [
        list("aabbccdd"),
        [3, 3, 3, 3, 1, 1, 1, 1],
        pd.DatetimeIndex(["2024-01-01"] * 8),
        pd.date_range("2024-01-01", periods=8, freq="D")[::-1],
        pd.MultiIndex.from_product([list("ab"), range(4)]),
    ],
    ids=["text", "numbers", "one time", "backwards", "two levels"],
)
def test_labels_that_are_no_times_in_order(index):
    alarms, labels = alarms_at(index), pd.Index(index)
    assert alarms["start"].tolist() == [labels[2], labels[6]]
    assert alarms["end"].tolist() == [labels[3], labels[6]]
    assert alarms["duration"].tolist() == [2, 1]


@pytest.mark.parametrize("index", [None, [], pd.DatetimeIndex([])])
def test_an_empty_series(index):
    alarms = alarms_at(index, errors=[])
    assert alarms.columns.tolist() == COLUMNS
    assert len(alarms) == 0


def test_errors_of_any_kind():
    expected = alarms_at(None)
    errors = np.array([1, 1, 9, 9, 1, 1, 9, 1])
    for given_ in (
        errors,
        errors.astype(np.float32),
        pd.Series(errors),
        np.ma.masked_array(errors, mask=False),
    ):
        pd.testing.assert_frame_equal(alarms_at(None, given_), expected)
    # That of masked ones is a break.
    masked = np.ma.masked_array(errors.astype(float), mask=np.arange(8) == 3)
    assert alarms_at(None, masked)["end"].tolist() == [2, 6]


# Parameters


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("trigger", -0.1),
        ("trigger", "0.5"),
        ("max_excess", 0),
        ("decay", -1),
        ("on_delay", 0),
        ("on_delay", 1.5),
        ("off_delay", 0),
        ("off_delay", "1h"),
        ("deadband", -1),
        ("tracking", -1),
        ("threshold", "auto"),
    ],
)
def test_parameters_are_checked(name, value, fitted_forecasts):
    alarm_filter = AlarmFilter(**{name: value})
    with pytest.raises(ValueError, match=f"The '{name}' parameter of AlarmFilter"):
        alarm_filter.alarms([1.0], threshold=2, median_error=1)
    with pytest.raises(ValueError, match=f"The '{name}' parameter of AlarmFilter"):
        explain(fitted_forecasts, frame(wave(30)), alarm_filter=alarm_filter)
    with pytest.raises(ValueError, match=f"The '{name}' parameter of AlarmFilter"):
        StreamingDetector(fitted_forecasts, alarm_filter)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_are_finite(value):
    cause = "threshold and median_error must be finite"
    with pytest.raises(ValueError, match=cause):
        AlarmFilter(threshold=value).alarms([1.0], median_error=1)
    with pytest.raises(ValueError, match=cause):
        AlarmFilter().alarms([1.0], threshold=value, median_error=1)
    with pytest.raises(ValueError, match=cause):
        AlarmFilter().alarms([1.0], threshold=1, median_error=value)


def test_a_threshold_is_needed():
    with pytest.raises(ValueError, match=r"-detector\.offset_.*AlarmFilter\(threshold"):
        AlarmFilter().alarms([1.0], median_error=1)


def test_its_own_threshold_counts():
    errors = [1.0, 9.0, 1.0]
    assert found(errors, {"threshold": 10}) == []
    [alarm] = found(errors, {"threshold": 2}, threshold=10)
    assert alarm["severity"] == pytest.approx(100 * (1 - 2**-7))
    assert len(AlarmFilter(threshold=2).alarms(errors, median_error=1)) == 1


@pytest.mark.parametrize(
    ("errors", "index", "message"),
    [
        (np.ones((3, 2)), None, r"one number for each row.*\(3, 2\).*score_samples"),
        (1.0, None, r"one number for each row.*\(\)"),
        (np.ones(3), [1, 2], "index has 2 labels, but errors has 3 rows"),
        (["a", "b"], None, "could not convert"),
    ],
)
def test_what_is_refused(errors, index, message):
    with pytest.raises(ValueError, match=message):
        AlarmFilter().alarms(errors, threshold=2, median_error=1, index=index)


def test_it_is_an_estimator_as_any_other():
    alarm_filter = AlarmFilter(trigger=2, off_delay=9)
    assert repr(alarm_filter) == "AlarmFilter(off_delay=9, trigger=2)"
    assert clone(alarm_filter).get_params() == alarm_filter.get_params()
    assert alarm_filter.set_params(decay=0.5).decay == 0.5
    assert set(alarm_filter.get_params()) == {
        *("trigger", "max_excess", "decay", "on_delay", "off_delay", "deadband"),
        *("tracking", "threshold"),
    }
    with pytest.raises(TypeError):
        AlarmFilter(0.5)


# Alarms that are explained


@pytest.fixture(scope="module")
def fitted_forecasts():
    return AutoregressiveDetector(lags=1, window_size=3).fit(frame(wave(300)))


def frame(X):
    times = pd.date_range("2024-01-01", periods=len(X), freq="min")
    return pd.DataFrame(X, index=times, columns=["pressure", "flow"])


@pytest.fixture(scope="module")
def X():
    readings = wave(200)
    readings[40:50, 1] += 3
    readings[100] = np.nan
    readings[150:160, 0] -= 5
    return frame(readings)


@pytest.mark.parametrize("kind", ["frame", "array"])
@pytest.mark.parametrize("parameters", [{}, {"off_delay": 3, "deadband": 0.5}])
def test_explained_alarms(fitted_forecasts, X, kind, parameters):
    detector, index = fitted_forecasts, X.index
    if kind == "array":
        detector = clone(detector).fit(wave(300))
        X, index = X.to_numpy(), None
    alarm_filter = AlarmFilter(**parameters)
    explained = explain(detector, X, n_channels=2, alarm_filter=alarm_filter)
    alarms = alarm_filter.alarms(
        -detector.score_samples(X),
        threshold=-detector.offset_,
        median_error=detector.median_error_,
        index=index,
    )
    assert len(alarms) >= 2
    shared = [name for name in COLUMNS if name != "error"]
    pd.testing.assert_frame_equal(explained[shared], alarms[shared])
    np.testing.assert_allclose(explained["score"], -alarms["error"])
    names = {0, 1} if index is None else set(X.columns)
    for row in explained.to_dict("records"):
        assert set(row["channels"]) <= names
        assert sum(row["shares"]) == pytest.approx(1)
        assert row["shares"] == sorted(row["shares"], reverse=True)
    assert explained["sentence"].str.contains("of the error").all()
    assert explained.columns.tolist() == [
        *("start", "end", "peak", "duration", "score", "raised", "severity"),
        *("priority", "state", "channels", "shares", "reading", "expected"),
        "sentence",
    ]


def test_no_alarm(fitted_forecasts, X):
    never = AlarmFilter(trigger=1e6)
    explained = explain(fitted_forecasts, X, alarm_filter=never)
    some = explain(fitted_forecasts, X, alarm_filter=AlarmFilter())
    assert len(explained) == 0
    assert explained.columns.tolist() == some.columns.tolist()
    for name in ("start", "end", "raised", "peak", "duration", "severity", "score"):
        assert explained[name].dtype == some[name].dtype


def test_rows_outside_of_alarms_are_not_explained(fitted_forecasts, X):
    asked = []

    def attribution(detector, X, rows):
        asked.extend(rows.tolist())
        return np.ones((len(rows), X.shape[1]))

    errors = -fitted_forecasts.score_samples(X)
    alarms = explain(
        fitted_forecasts,
        X,
        attribution=attribution,
        alarm_filter=AlarmFilter(off_delay=1, trigger=5),
    )
    above = set(np.flatnonzero(errors > -fitted_forecasts.offset_).tolist())
    assert set(asked) < above
    start, end = (
        X.index.get_indexer(alarms["start"]),
        X.index.get_indexer(alarms["end"]),
    )
    inside = {t for s, e in zip(start, end, strict=True) for t in range(s, e + 1)}
    assert set(asked) == above & inside


def test_its_own_threshold_is_explained(fitted_forecasts, X):
    errors = -fitted_forecasts.score_samples(X)
    high = np.nanmax(errors) * 0.9
    [alarm] = explain(
        fitted_forecasts, X, alarm_filter=AlarmFilter(threshold=high, trigger=0)
    ).to_dict("records")
    assert alarm["score"] == pytest.approx(-np.nanmax(errors))
    assert alarm["severity"] < 20
    none = AlarmFilter(threshold=np.nanmax(errors))
    assert len(explain(fitted_forecasts, X, alarm_filter=none)) == 0


def test_flagged_and_a_filter(fitted_forecasts, X):
    with pytest.raises(ValueError, match=r"flagged and alarm_filter are both given"):
        explain(
            fitted_forecasts,
            X,
            flagged=np.zeros(len(X)),
            alarm_filter=AlarmFilter(),
        )
    with pytest.raises(ValueError, match="'alarm_filter' parameter of explain"):
        explain(fitted_forecasts, X, alarm_filter=True)


@pytest.mark.parametrize("scaled", [False, True])
def test_a_detector_that_knows_no_median_error(X, scaled):
    """Alarms are measured by the median error of the series then."""
    X, detector = X.dropna(), IsolationForest(contamination=0.02, random_state=0)
    if scaled:
        detector = make_pipeline(StandardScaler(), detector)
    detector.fit(wave(300))
    last = detector[-1] if scaled else detector
    explained = explain(detector, X.to_numpy(), alarm_filter=AlarmFilter())
    errors = -detector.score_samples(X.to_numpy())
    alarms = AlarmFilter().alarms(
        errors, threshold=-last.offset_, median_error=np.median(errors)
    )
    shared = [name for name in COLUMNS if name != "error"]
    pd.testing.assert_frame_equal(explained[shared], alarms[shared])
    assert len(alarms) > 0
    assert explained["channels"].map(len).min() > 0


def test_a_threshold_for_a_detector_without_one(X):
    X = X.dropna().to_numpy()
    detector = KernelDensity().fit(wave(300))
    errors = -detector.score_samples(X)
    with pytest.raises(ValueError, match=r"No threshold.*AlarmFilter\(threshold="):
        explain(detector, X, alarm_filter=AlarmFilter())
    alarm_filter = AlarmFilter(threshold=np.quantile(errors, 0.95))
    explained = explain(detector, X, alarm_filter=alarm_filter)
    alarms = alarm_filter.alarms(errors, median_error=np.median(errors))
    assert explained["start"].tolist() == alarms["start"].tolist() != []
