# SPDX-License-Identifier: MIT
import numpy as np
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest, VotingRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer, RobustScaler

from tests.helpers import wave
from tsanomaly import ReconstructionThreshold, WindowTransformer
from tsanomaly._context import Context, get_context

X = wave(30)


class Unknown(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def transform(self, X):
        return X


@pytest.mark.parametrize(
    ("estimator", "n_context"),
    [
        (IsolationForest(n_estimators=2), 0),
        (LocalOutlierFactor(novelty=True), 0),
        (make_pipeline(RobustScaler(), "passthrough", WindowTransformer(7)), 6),
        (make_pipeline(WindowTransformer(3), WindowTransformer(4), PCA(1)), 5),
        (make_union(WindowTransformer(3), WindowTransformer(8)), 7),
        (
            make_column_transformer(
                (WindowTransformer(3), [0]), ("drop", [1]), remainder="passthrough"
            ),
            2,
        ),
        (FunctionTransformer(), 0),
        (make_pipeline(WindowTransformer(2), ReconstructionThreshold()), 1),
    ],
)
def test_known_steps(estimator, n_context):
    assert get_context(estimator.fit(X)) == Context(n_context, 0, n_context)


def test_wrappers_see_what_they_wrap():
    windows = WindowTransformer(5).fit(X)
    assert get_context(FrozenEstimator(windows)) == (4, 0, 4)
    search = GridSearchCV(
        make_pipeline(WindowTransformer(), PCA(1)),
        {"windowtransformer__window_size": [6]},
        cv=2,
    ).fit(X)
    assert get_context(search) == (5, 0, 5)


@pytest.mark.parametrize(
    "step", [Unknown(), FunctionTransformer(np.sqrt), FrozenEstimator(Unknown())]
)
def test_an_unknown_step_is_refused_by_name(step):
    name = "Unknown" if "Unknown" in repr(step) else "FunctionTransformer"
    with pytest.raises(ValueError, match=rf"{name}.* n_context_"):
        get_context(make_pipeline(RobustScaler(), step))


def test_parts_of_an_unknown_ensemble_must_say_it():
    blind = VotingRegressor([("linear", LinearRegression())])
    assert get_context(blind.fit(X, X[:, 0])) == (0, 0, 0)
    windows = make_pipeline(WindowTransformer(5), LinearRegression())
    seeing = VotingRegressor([("windows", windows)]).fit(X, X[:, 0])
    with pytest.raises(ValueError, match="WindowTransformer"):
        get_context(seeing)


def test_a_step_may_state_it():
    step = Unknown()
    step.n_context_, step.n_lookahead_ = 3, 1
    windows = WindowTransformer(2).fit(X)
    assert get_context(make_pipeline(step, windows)) == (4, 1, 4)
    step.n_start_up_ = 0  # as of a step whose results rest on no padding
    assert get_context(make_pipeline(step, windows)) == (4, 1, 1)
