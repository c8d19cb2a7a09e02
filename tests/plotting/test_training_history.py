# SPDX-License-Identifier: MIT
import matplotlib.pyplot as plt
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import StandardScaler

from tests.helpers import tiny_detector
from tsanomaly import HybridDetector, ReconstructionThreshold, ScoreTransformer
from tsanomaly.plotting import TrainingHistoryDisplay

pytestmark = pytest.mark.network


def test_what_is_drawn():
    history = {"loss": [3.0, 2.0, 1.0], "val_loss": [3.0, 1.0, 2.0]}
    figure, ax = plt.subplots()
    display = TrainingHistoryDisplay(history).plot(ax)
    assert display.figure_ is figure
    for line, losses in zip(display.lines_, history.values(), strict=True):
        assert line.get_ydata().tolist() == losses
        assert line.get_xdata().tolist() == [1, 2, 3]
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["training", "validation, lowest in epoch 2"]


def test_the_network_is_found(series):
    network = tiny_detector()
    for estimator in (
        network,
        make_pipeline(StandardScaler(), network),
        make_pipeline(
            make_union(ScoreTransformer(IsolationForest()), ScoreTransformer(network)),
            ReconstructionThreshold(),
        ),
        HybridDetector(IsolationForest(), network),
    ):
        display = TrainingHistoryDisplay.from_estimator(estimator.fit(series))
        assert len(display.history["loss"]) == 1
        assert display.lines_[0].get_marker() == "o"  # one epoch is no line


def test_without_a_network(series):
    with pytest.raises(ValueError, match="has no history_"):
        TrainingHistoryDisplay.from_estimator(IsolationForest().fit(series))


@pytest.mark.parametrize(
    ("losses", "scale"),
    [([0.9, 0.89], "linear"), ([2.0, 1.0], "linear"), ([5, 0.1], "log")],
)
def test_the_axis_shows_what_was_learned(losses, scale):
    display = TrainingHistoryDisplay({"loss": losses}).plot()
    assert display.ax_.get_yscale() == scale
    low, high = display.ax_.get_ylim()
    assert low == 0 or scale == "log"
    assert low <= losses[1] <= losses[0] <= high
    display.figure_.draw_without_rendering()
    (percent,) = display.ax_.child_axes
    assert percent.get_ylim() == pytest.approx(
        (100 * low / losses[0], 100 * high / losses[0])
    )


def test_a_loss_below_zero_has_no_shares():
    display = TrainingHistoryDisplay({"loss": [1.0, -1.0]}).plot()
    assert not display.ax_.child_axes
