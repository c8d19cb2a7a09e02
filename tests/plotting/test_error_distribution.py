# SPDX-License-Identifier: MIT
import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.ensemble import IsolationForest

from tsanomaly.plotting import ErrorDistributionDisplay


def test_what_is_drawn(rng):
    train, test = rng.gamma(2, size=1000), np.append(rng.gamma(2, size=98), [50, 60])
    y = np.arange(100) >= 98
    display = ErrorDistributionDisplay.from_predictions(train, test, y, threshold=20)
    for shares, patch in zip(
        display.shares_.values(), display.ax_.patches, strict=True
    ):
        np.testing.assert_array_equal(patch.get_data().values, shares)
        assert shares.sum() == pytest.approx(1)
    assert display.bins_[-1] == 60
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == [
        "1,000 training rows, 0 % beyond",
        "98 normal test rows, 0 % beyond",
        "2 anomalous test rows, 100 % beyond",
        "threshold 20",
    ]
    assert len({patch.get_linestyle() for patch in display.ax_.patches}) == 3


def test_from_estimator(frame):
    forest = IsolationForest(contamination=0.1, random_state=0).fit(frame[:50])
    figure, ax = plt.subplots()
    display = ErrorDistributionDisplay.from_estimator(
        forest, frame[:50], frame[50:], ax=ax
    )
    assert display.figure_ is figure
    assert display.threshold == pytest.approx(-forest.offset_)
    np.testing.assert_array_equal(
        display.errors["test rows"], -forest.score_samples(frame[50:])
    )


def test_breaks_are_left_out_and_equal_errors_are_drawn():
    display = ErrorDistributionDisplay.from_predictions(
        [1.0, 1.0, np.nan], [np.nan, np.nan]
    )
    assert list(display.shares_) == ["training rows"]
    assert display.shares_["training rows"].sum() == 1


def test_nothing_to_draw():
    with pytest.raises(ValueError, match="no finite error"):
        ErrorDistributionDisplay.from_predictions([np.nan], [])
