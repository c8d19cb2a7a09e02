# SPDX-License-Identifier: MIT
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tests.helpers import tiny_detector, wave
from tsanomaly import _relations
from tsanomaly._relations import _area


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("shift", [-1.0, 0.0, 2.0, 50.0])
@pytest.mark.parametrize("n_replaced", [1, 70, 300])
def test_the_area_is_that_of_scikit_learn(n_replaced, shift, ties, rng):
    as_read, replaced = rng.normal(size=300), rng.normal(shift, size=n_replaced)
    if ties:
        as_read, replaced = as_read.round(), replaced.round()
    y = np.repeat([0, 1], [300, n_replaced])
    expected = roc_auc_score(y, np.concatenate([as_read, replaced]))
    np.testing.assert_allclose(_area(as_read, replaced), expected, rtol=1e-12)


def test_channels_that_are_tested_together_are_tested_as_alone(monkeypatch):
    X = wave(60, 5)
    together = tiny_detector().fit(X)
    monkeypatch.setattr(_relations, "_TOGETHER", 1)
    alone = tiny_detector().fit(X)
    np.testing.assert_array_equal(together.relation_gain_, alone.relation_gain_)
    assert together.offset_ == alone.offset_
