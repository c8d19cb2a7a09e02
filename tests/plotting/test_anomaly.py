# SPDX-License-Identifier: MIT
import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given
from sklearn.ensemble import IsolationForest

from tests.helpers import shaded_ranges
from tests.metrics.slow_reference import label_pairs
from tsanomaly import ReconstructionThreshold
from tsanomaly.plotting import AnomalyDisplay


def n_shaded(axes):
    """How many ranges are shaded, by the outcome they are styled as."""
    return [len(ranges) for ranges in shaded_ranges(axes)]


def test_what_is_drawn(frame):
    forest = IsolationForest(contamination=0.05, random_state=0).fit(frame)
    y = np.zeros(100, dtype=int)
    y[60:63] = y[80:85] = 1
    display = AnomalyDisplay.from_estimator(forest, frame, y)
    flow, pressure, below, events = display.axes_
    assert [axes.get_ylabel() for axes in (flow, pressure)] == ["flow", "pressure"]
    np.testing.assert_array_equal(pressure.lines[0].get_ydata(), frame["pressure"])
    scores, threshold = below.lines
    np.testing.assert_array_equal(scores.get_ydata(), -forest.score_samples(frame))
    assert threshold.get_ydata()[0] == pytest.approx(-forest.offset_)
    np.testing.assert_array_equal(display.flagged, forest.predict(frame) == -1)
    assert display.figure_ is flow.figure
    assert display.events_["hit"][0].tolist() == [60]
    assert display.events_["miss"][0].tolist() == [80]
    n_false, n_outside = (
        len(display.events_[name][0]) for name in ("false alarm", "outside label")
    )
    for axes in display.axes_:
        assert n_shaded(axes) == [1, 1, n_false, n_outside]
    labels = [text.get_text() for text in flow.get_legend().get_texts()]
    assert labels == ["hit", "miss", "false alarm", "outside label", "threshold"]
    ticks = [label.get_text() for label in events.get_yticklabels()]
    assert ticks == [
        "hit: 1",
        "miss: 1",
        f"false alarm: {n_false}",
        f"outside label: {n_outside}",
    ]


def test_outcomes_differ_without_colour(frame):
    y, flagged = np.zeros((2, 100), dtype=int)
    y[10:20] = y[40:50] = 1
    flagged[15:25] = flagged[70:75] = flagged[90] = 1
    display = AnomalyDisplay.from_predictions(frame, flagged * 1.0, 0.5, flagged, y)
    assert {name: len(rows[0]) for name, rows in display.events_.items()} == {
        "hit": 1,
        "miss": 1,
        "false alarm": 2,
        "outside label": 1,
    }
    for axes in display.axes_:
        assert len({patch.get_hatch() for patch in axes.patches}) == 4
    # On lines of their own, below each other
    heights = [ranges[0, :2, 1] for ranges in shaded_ranges(display.axes_[-1])]
    np.testing.assert_allclose(
        heights, [[-0.4, 0.4], [0.6, 1.4], [1.6, 2.4], [2.6, 3.4]]
    )


def test_rows_beside_a_label_are_false(frame):
    """A long alarm that touches a label is not a hit over its whole length."""
    y, flagged = np.zeros((2, 100), dtype=int)
    y[30:35] = y[45:50] = y[60:65] = 1
    flagged[20:55] = flagged[60:65] = flagged[80:90] = 1
    display = AnomalyDisplay.from_predictions(frame, flagged * 1.0, 0.5, flagged, y)
    rows = {name: np.transpose(each).tolist() for name, each in display.events_.items()}
    assert rows == {
        "hit": [[30, 34], [45, 49], [60, 64]],
        "miss": [],
        "false alarm": [[80, 89]],
        "outside label": [[20, 29], [35, 44], [50, 54]],
    }
    for axes in display.axes_:
        assert n_shaded(axes) == [3, 0, 1, 3]


@given(label_pair=label_pairs())
def test_every_flagged_row_is_shown_once(label_pair):
    y, flagged = label_pair
    display = AnomalyDisplay(None, None, 0.5, flagged == 1, y == 1)
    shown = np.zeros(len(y), dtype=int)
    for name, ranges in display._events().items():
        if name in ("false alarm", "outside label"):
            for first, last in zip(*ranges, strict=True):
                shown[first : last + 1] += 1
    np.testing.assert_array_equal(shown, flagged * (1 - y))


def test_without_labels_on_given_axes(frame):
    figure, axes = plt.subplots(3)
    flagged = np.arange(100) > 97
    display = AnomalyDisplay.from_predictions(
        frame.to_numpy(), np.arange(100.0), 97.5, flagged, channels=[1], ax=axes
    )
    assert display.figure_ is figure
    assert display.readings.shape == (100, 1)
    assert [n_shaded(each) for each in axes] == [[1], [1], [1]]


def test_a_series_that_starts_with_breaks():
    errors = np.arange(100.0).reshape(-1, 1)
    threshold = ReconstructionThreshold().fit(errors)
    errors[:12] = np.nan
    display = AnomalyDisplay.from_estimator(threshold, errors)
    np.testing.assert_array_equal(display.flagged, threshold.predict(errors) == -1)
    assert display.flagged.any()
    assert np.isnan(display.axes_[1].lines[0].get_ydata()[:12]).all()


def test_a_detector_without_score_samples(frame):
    class Limit:
        def fit(self, X, y=None):
            return self

        def decision_function(self, X):
            return 3 - X["flow"].to_numpy()

    display = AnomalyDisplay.from_estimator(Limit(), frame)
    assert display.threshold == 0
    assert np.flatnonzero(display.flagged).tolist() == [60, 61, 62]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": np.full(100, -1)}, r"y = \(y == -1\)"),
        ({"scores": np.zeros(99)}, "scores must have one value for each of the 100"),
        ({"flagged": np.zeros((100, 1))}, "flagged must have one value"),
    ],
)
def test_what_does_not_fit_is_refused(frame, change, message):
    given = {"scores": np.zeros(100), "flagged": np.zeros(100), **change}
    with pytest.raises(ValueError, match=message):
        AnomalyDisplay.from_predictions(frame, threshold=1, **given)
