# SPDX-License-Identifier: MIT
import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.cluster import KMeans
from sklearn.decomposition import NMF, PCA
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils import get_tags

from tests.helpers import wave
from tsanomaly import ReconstructionError, ReconstructionThreshold, WindowTransformer


def test_squared_residuals_of_pca(rng):
    X = rng.normal(size=(50, 4))
    errors = ReconstructionError(PCA(2)).fit_transform(X)
    centred = X - X.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    kept = directions[:2]
    np.testing.assert_allclose(errors, (centred - centred @ kept.T @ kept) ** 2)


def test_any_invertible_transformer(rng):
    X = rng.uniform(size=(30, 4))
    assert ReconstructionError(NMF(2)).fit_transform(X).shape == (30, 4)
    nothing_lost = ReconstructionError(StandardScaler()).fit_transform(X)
    np.testing.assert_allclose(nothing_lost, 0, atol=1e-20)
    pipeline = make_pipeline(StandardScaler(), PCA(2))
    assert (ReconstructionError(pipeline).fit_transform(X) >= 0).all()


def test_the_transformer_is_cloned_unless_frozen(rng):
    X = rng.normal(size=(30, 3))
    pca = PCA(1)
    errors = ReconstructionError(pca).fit(X)
    assert not hasattr(pca, "components_")
    assert errors.transformer_ is not pca
    pca.fit(X[:10])
    frozen = ReconstructionError(FrozenEstimator(pca)).fit(X)
    np.testing.assert_array_equal(frozen.transformer_.transform(X), pca.transform(X))


def test_a_transformer_that_works_in_place(rng):
    X = rng.normal(size=(30, 3))
    before = X.copy()
    in_place = make_pipeline(StandardScaler(copy=False), PCA(2))
    errors = ReconstructionError(in_place).fit(X).transform(X)
    np.testing.assert_array_equal(X, before)
    copying = make_pipeline(StandardScaler(), PCA(2))
    np.testing.assert_allclose(errors, ReconstructionError(copying).fit_transform(X))


def test_large_float32_readings_do_not_overflow(rng):
    X = rng.normal(size=(30, 3)).astype(np.float32)
    errors = ReconstructionError(PCA(1)).fit(X).transform(X * np.float32(1e25))
    assert errors.dtype == np.float64
    assert np.isfinite(errors).all()


def test_the_baseline_finds_a_spike():
    X = wave(300)
    detector = make_pipeline(
        StandardScaler(),
        WindowTransformer(10),
        ReconstructionError(PCA(0.9)),
        ReconstructionThreshold(),
    ).fit(X)
    X[200, 1] += 4
    assert detector.score_samples(X).argmin() in range(200, 210)
    assert (detector.predict(X)[200:210] == -1).any()
    errors = detector[:-1].transform(X)
    names = detector[:-1].get_feature_names_out()
    assert names[errors[200].argmax()] == "x1_t-0"


def test_names_and_pandas_output():
    X = pd.DataFrame(wave(20), columns=["flow", "pressure"])
    errors = ReconstructionError(PCA(1)).set_output(transform="pandas")
    assert errors.fit_transform(X).columns.tolist() == ["flow", "pressure"]


def test_context_is_that_of_the_transformer():
    X = wave(20)
    assert ReconstructionError(PCA(1)).fit(X).n_context_ == 0
    unknown = FunctionTransformer(np.sqrt, inverse_func=np.square)
    errors = ReconstructionError(unknown).fit(np.abs(X))
    assert not hasattr(errors, "n_context_")


def test_tags_are_those_of_the_transformer():
    tags = get_tags(ReconstructionError(NMF()))
    assert tags.input_tags.positive_only
    assert not tags.input_tags.sparse


def test_refuses():
    with pytest.raises(ValueError, match="'transformer' parameter"):
        ReconstructionError(KMeans()).fit(wave(20))
    with pytest.raises(
        ValueError, match=r"NaN in the column at position 0, first at row 1.*Impute"
    ):
        ReconstructionError(PCA()).fit([[1.0, 2.0], [np.nan, 3.0]])
    with pytest.raises(NotFittedError):
        ReconstructionError(PCA()).transform(wave(5))
    errors = ReconstructionError(PCA(5))
    with pytest.raises(ValueError, match="n_components=5"):
        errors.fit(wave(20))
    with pytest.raises(NotFittedError):
        errors.transform(wave(5))


def test_breaks_have_no_error(rng):
    X = rng.normal(size=(50, 3))
    broken = np.insert(X, [0, 20, 50], np.nan, axis=0)
    breaks = np.isnan(broken[:, 0])
    plain = ReconstructionError(PCA(2)).fit(X)
    errors = ReconstructionError(PCA(2)).fit(broken, np.arange(53))
    np.testing.assert_array_equal(errors.transform(broken)[~breaks], plain.transform(X))
    assert np.isnan(errors.transform(broken)[breaks]).all()
    assert np.isnan(errors.transform(broken[:1])).all()


def test_a_long_series_has_the_errors_of_its_pieces(rng):
    breaks = [10, 11, 16_000, 16_400, 39_000]
    X = np.insert(rng.normal(size=(40_000, 3)), breaks, np.nan, axis=0)
    errors = ReconstructionError(PCA(2)).fit(X)
    for method in (errors.transform, errors.reconstruct):
        pieces = [method(piece) for piece in np.array_split(X, 11)]
        np.testing.assert_allclose(method(X), np.concatenate(pieces), atol=1e-12)


def test_metadata_loses_the_breaks(rng):
    X = np.insert(rng.normal(size=(50, 3)), [10, 20], np.nan, axis=0)
    with config_context(enable_metadata_routing=True):
        scaler = StandardScaler().set_fit_request(sample_weight=True)
        errors = ReconstructionError(scaler).fit(X, sample_weight=np.ones(52))
    np.testing.assert_allclose(errors.transformer_.mean_, np.nanmean(X, axis=0))


def test_wide_rows_are_restored_a_few_at_a_time(rng, monkeypatch):
    """Else what is computed on the way would take gigabytes."""
    X = rng.normal(size=(50, 8))
    errors = ReconstructionError(make_pipeline(StandardScaler(), PCA(2))).fit(X)
    whole, rows = errors.transform(X), []
    monkeypatch.setattr("tsanomaly._reconstruction_error._MOST_VALUES", 80)
    transform = PCA.transform
    monkeypatch.setattr(
        PCA, "transform", lambda self, X: rows.append(len(X)) or transform(self, X)
    )
    np.testing.assert_allclose(errors.transform(X), whole)
    assert rows == [10] * 5
