# SPDX-License-Identifier: MIT
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest

from tsanomaly import compare_detectors
from tsanomaly.plotting import ComparisonDisplay


@pytest.fixture
def table(frame):
    y = np.zeros(100, dtype=int)
    y[60:63] = 1
    detectors = {"forest": IsolationForest(random_state=0), "broken": PCA()}
    return compare_detectors(
        detectors, frame[:50], frame, y, metrics=["f1", "roc_auc", "detection_delay"]
    )


def test_what_is_drawn(table):
    display = ComparisonDisplay.from_table(table)
    upper, lower = display.axes_
    assert display.values.columns.tolist() == ["f1", "roc_auc"]
    for bars, metric in zip(display.bars_, ["f1", "roc_auc"], strict=True):
        widths = [bar.get_width() for bar in bars]
        np.testing.assert_array_equal(widths, table[metric])
    assert len({bars[0].get_hatch() for bars in display.bars_}) == 2
    labels = [label.get_text() for label in upper.get_yticklabels()]
    assert labels == table.index.tolist()
    assert [text.get_text() for text in upper.texts] == ["failed"]
    # Only those that did not fail have a point.
    points = {line.get_label(): line.get_xydata()[0] for line in lower.lines}
    assert "broken" not in points
    assert len(points) == len(table) - 1
    seconds = table.loc["forest", ["fit_seconds", "score_seconds"]].sum()
    np.testing.assert_allclose(points["forest"], [seconds, table.loc["forest", "f1"]])
    assert len({line.get_marker() for line in lower.lines}) == len(points)


def test_chosen_metrics_on_given_axes(table):
    figure, axes = plt.subplots(2)
    display = ComparisonDisplay.from_table(table, metrics=["roc_auc"], ax=axes)
    assert display.figure_ is figure
    assert len(display.bars_) == 1
    assert axes[1].get_ylabel() == "roc_auc"


def test_many_metrics_and_long_names_stay_within_the_figure(rng):
    metrics = [f"a_metric_with_a_long_name_{number}" for number in range(9)]
    table = pd.DataFrame(rng.random((3, 9)), columns=metrics)
    table.index = [f"standardised principal components {k}" for k in table.index]
    display = ComparisonDisplay.from_table(
        table.assign(fit_seconds=1.0, score_seconds=1.0), metrics=metrics
    )
    looks = {(bars[0].get_facecolor(), bars[0].get_hatch()) for bars in display.bars_}
    assert len(looks) == 9
    display.figure_.draw_without_rendering()
    for axes in display.axes_:
        assert axes.get_window_extent().width > 0.4 * display.figure_.bbox.width
        for text in (*axes.get_yticklabels(), *axes.get_legend().get_texts()):
            extent = text.get_window_extent()
            assert extent.x0 >= 0
            assert extent.x1 <= display.figure_.bbox.width


def test_another_table():
    with pytest.raises(ValueError, match=r"needs rows, a metric, and \['fit_seconds'"):
        ComparisonDisplay.from_table(pd.DataFrame({"f1": [0.5]}))


def test_every_detector_has_a_look_of_its_own(rng):
    table = pd.DataFrame({"f1": rng.random(21)}, index=[f"_d{k}" for k in range(21)])
    table = table.assign(fit_seconds=1.0, score_seconds=rng.random(21))
    display = ComparisonDisplay.from_table(table)
    lines = display.axes_[1].lines
    colours = np.array([to_rgb(line.get_color()) for line in lines])
    distances = np.abs(colours[:, None] - colours).sum(axis=2)
    assert distances[np.triu_indices(21, 1)].min() > 0.15
    # Those that look alike without colours have different markers.
    assert len({line.get_marker() for line in lines[:10]}) == 10
    legend = display.axes_[1].get_legend().get_texts()
    assert [text.get_text() for text in legend] == table.index.tolist()
