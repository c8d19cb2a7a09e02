# SPDX-License-Identifier: MIT
import io
import itertools
import json
import os
import pickle
import random
import re
import stat
import sys
import tracemalloc
import warnings
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo
from zlib import crc32

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.covariance import EllipticEnvelope
from sklearn.decomposition import PCA
from sklearn.ensemble import GradientBoostingRegressor, IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import SGDOneClassSVM
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.neighbors import KernelDensity, LocalOutlierFactor, NearestNeighbors
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline, make_union
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MinMaxScaler,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVC, OneClassSVM
from sklearn.tree import DecisionTreeRegressor
from sklearn.utils import all_estimators

import tsanomaly
from tests.helpers import run_python, tiny_detector, wave
from tsanomaly import (
    HybridDetector,
    LSTMAutoencoderDetector,
    ReconstructionError,
    ReconstructionThreshold,
    ScoreTransformer,
    TemporalFeatures,
    WindowTransformer,
    load,
    save,
)
from tsanomaly._saving._persistence import _pack
from tsanomaly._saving._trusted_types import UNCHECKED
from tsanomaly._validation import VersionWarning
from tsanomaly.metrics import make_anomaly_scorer


def small_forest(**parameters):
    return IsolationForest(n_estimators=3, random_state=0, **parameters)


def network():
    return tiny_detector(window_size=3)


class Shift(TransformerMixin, BaseEstimator):
    """A transformer of somebody else."""

    def fit(self, X, y=None):
        self.shift_ = np.asarray(X).mean(axis=0)
        return self

    def transform(self, X):
        return np.asarray(X) - self.shift_


class OtherNetwork(LSTMAutoencoderDetector):
    """A detector of somebody else, made from one of the library."""


MODELS = {
    "window": WindowTransformer(3),
    "features": TemporalFeatures(windows=(3,), lags=(2,), rates=(1,)),
    "calendar": make_pipeline(
        TemporalFeatures(windows=[3, 4], calendar=True, interactions=True),
        StandardScaler(),
        small_forest(),
    ),
    "network": network(),
    "network_overlap": tiny_detector(window_size=3, row_error="overlap_mean", stride=2),
    "network_validated": tiny_detector(
        window_size=3, row_error="last", validation_fraction=0.2, contamination=0.1
    ),
    "network_of_lists": tiny_detector(
        window_size=np.int64(3), units=[np.int64(3)], latent_dim=2
    ),
    "network_threshold": make_pipeline(network(), ReconstructionThreshold()),
    "errors": ReconstructionError(PCA(1)),
    **{
        f"threshold_{method}_{channels}": make_pipeline(
            StandardScaler(),
            ReconstructionError(PCA(1)),
            ReconstructionThreshold(method, channels=channels),
        )
        for method, channels in itertools.product(
            ["quantile", "sigma", "mad", "pot", "f_score"], ["mean", "max", "each"]
        )
        if (method, channels) != ("f_score", "each")
    },
    "score_tail": ScoreTransformer(small_forest()),
    "score_rank": ScoreTransformer(EllipticEnvelope(random_state=0), calibrate="rank"),
    "score_plain": ScoreTransformer(OneClassSVM(), calibrate=None),
    "score_neighbours": ScoreTransformer(LocalOutlierFactor(novelty=True)),
    "hybrid": HybridDetector(detector=network(), trim_fraction=0.1),
    "hybrid_mean": HybridDetector(
        small_forest(), LocalOutlierFactor(novelty=True), combine="mean"
    ),
    "hybrid_all": HybridDetector(
        small_forest(), network(), screen_fraction=1, contamination=0.1
    ),
    "ensemble": make_pipeline(
        make_union(
            ScoreTransformer(small_forest()),
            ScoreTransformer(make_pipeline(StandardScaler(), network())),
        ),
        ReconstructionThreshold(),
    ),
    "union": make_pipeline(
        FeatureUnion([("a", PCA(1)), ("b", "drop"), ("c", "passthrough")]),
        small_forest(),
    ),
    "columns": make_pipeline(
        ColumnTransformer(
            [("a", MinMaxScaler(), ["ch_0"]), ("b", RobustScaler(), ["ch_1"])],
            remainder="passthrough",
        ),
        small_forest(),
    ),
    "remainder": make_pipeline(
        ColumnTransformer([("a", MinMaxScaler(), [0])], remainder=StandardScaler()),
        small_forest(),
    ),
    "function": make_pipeline(FunctionTransformer(np.arctan), small_forest()),
    "quantiles": make_pipeline(QuantileTransformer(n_quantiles=9), PCA("mle")),
    "bins": KBinsDiscretizer(3, encode="ordinal", strategy="uniform"),
    "imputed": make_pipeline(SimpleImputer(), RobustScaler(), small_forest()),
    "forest": small_forest(),
    "forest_of_columns": small_forest(max_features=1, max_samples=20, bootstrap=True),
    "forest_with_generator": IsolationForest(
        n_estimators=2, random_state=np.random.RandomState(0)
    ),
    **{
        f"neighbours_{algorithm}_{metric}": LocalOutlierFactor(
            algorithm=algorithm, metric=metric, metric_params=parameters, novelty=True
        )
        for algorithm in ["kd_tree", "ball_tree", "brute"]
        for metric, parameters in [
            ("minkowski", None),
            ("chebyshev", None),
            ("mahalanobis", {"VI": np.diag([1.0, 2.0])}),
            ("seuclidean", {"V": np.array([1.0, 2.0])}),
        ]
        if not (algorithm == "kd_tree" and parameters)
    },
    "density": KernelDensity(),
    "svm": OneClassSVM(nu=0.1),
    "svm_poly": OneClassSVM(kernel="poly"),
    "linear_svm": SGDOneClassSVM(random_state=0),
    "envelope": EllipticEnvelope(random_state=0),
    **{f"pca_{solver}": PCA(1, svd_solver=solver) for solver in ("full", "arpack")},
    "frozen": make_pipeline(
        StandardScaler(),
        ScoreTransformer(FrozenEstimator(small_forest().fit(wave(50)))),
    ),
}

# What the search over a threshold keeps: its pipeline, its splits, its scorer.
SEARCHES = {
    name: GridSearchCV(
        Pipeline(
            [("errors", ReconstructionError(PCA(1))), ("t", ReconstructionThreshold())],
            memory="cache",
        ),
        {"t__quantile": [0.9, 0.95], "errors__transformer": [PCA(1), PCA(1, tol=1)]},
        scoring=scoring,
        refit=refit,
        cv=TimeSeriesSplit(2),
    )
    for name, scoring, refit in [
        ("labels", make_anomaly_scorer("event_fscore"), True),
        ("ranking", make_anomaly_scorer("vus_pr", window=5), True),
        ("name", "average_precision", True),
        ("several", ["roc_auc", "accuracy"], "accuracy"),
    ]
}


@pytest.fixture(scope="module")
def frame():
    times = pd.date_range("2024-01-01", periods=120, freq="5min")
    return pd.DataFrame(wave(120), index=times, columns=["ch_0", "ch_1"])


@pytest.fixture(scope="module")
def labels():
    return np.isin(np.arange(120), [*range(30, 35), *range(70, 80), 100]).astype(int)


@pytest.fixture(scope="module")
def model(frame):
    """A small model of several arrays."""
    return make_pipeline(StandardScaler(), small_forest()).fit(frame)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.skops"


@pytest.fixture
def saved(model, path):
    """The file of the small model."""
    save(model, path)
    return path


def outputs(model, X):
    """Everything that a model says of rows."""
    methods = ["score_samples", "decision_function", "predict", "transform"]
    return {
        method: np.asarray(getattr(model, method)(X))
        for method in methods
        if hasattr(model, method)
    }


def without_address(model):
    """Its representation, but for where a random state lies in memory."""
    return re.sub("0x[0-9A-F]+", "", repr(model))


def assert_same(model, loaded, frame):
    """Raise unless two models say the same, to the last bit."""
    for rows in (frame, frame[:1], frame[::-1][:7]):
        expected, found = outputs(model, rows), outputs(loaded, rows)
        assert expected
        assert expected.keys() == found.keys()
        for method, values in expected.items():
            np.testing.assert_array_equal(found[method], values, strict=True)


def content_of(path):
    """Members of a file by name."""
    with ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path, members, compression=ZIP_DEFLATED):
    """Write an archive of members: a dict, or pairs."""
    with warnings.catch_warnings(), ZipFile(path, "w", compression) as archive:
        warnings.simplefilter("ignore")  # of two members of the same name
        for name, content in getattr(members, "items", lambda: members)():
            archive.writestr(ZipInfo(name), content, compression)


def alter(path, change, compression=ZIP_DEFLATED):
    """Change members of a file, and write SHA-256 that fit."""
    members = content_of(path)
    change(members)
    manifest = json.loads(members.pop("tsanomaly.json"))
    manifest["members"] = {
        name: {"size": len(content), "sha256": sha256(content).hexdigest()}
        for name, content in members.items()
    }
    members["tsanomaly.json"] = json.dumps(manifest)
    write(path, members, compression)


def alter_manifest(path, **changes):
    members = content_of(path)
    manifest = json.loads(members["tsanomaly.json"])
    members["tsanomaly.json"] = json.dumps({**manifest, **changes})
    write(path, members)


def alter_json(path, change):
    """Change the description of the model, and write SHA-256 that fit."""

    def change_member(members):
        schema = json.loads(members["schema.json"])
        change(schema)
        members["schema.json"] = json.dumps(schema)
        members["schema.json"] = members["schema.json"].encode()

    alter(path, change_member)


def alter_array(path, holds, change):
    """Change an array, found by what it holds, and write SHA-256 that fit."""

    def change_member(members):
        for name, content in members.items():
            if name.endswith(".npy"):
                array = np.load(io.BytesIO(content))
                if holds(array):
                    array = change(array)
                    stream = io.BytesIO()
                    np.save(stream, array)
                    members[name] = stream.getvalue()
                    return
        raise AssertionError("there is no such array")

    alter(path, change_member)


def nodes(schema, loader):
    """All nodes of a kind in the description of a model."""
    if isinstance(schema, dict):
        if schema.get("__loader__") == loader:
            yield schema
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            yield from nodes(part, loader)


@pytest.mark.parametrize("name", MODELS)
def test_scores_are_the_same(name, frame, labels, path):
    model = MODELS[name].fit(frame, labels)
    save(model, path)
    loaded = load(path)
    assert type(loaded) is type(model)
    assert without_address(loaded) == without_address(model)
    assert_same(model, loaded, frame)
    if hasattr(model, "transform"):
        assert list(loaded.get_feature_names_out()) == list(
            model.get_feature_names_out()
        )


@pytest.mark.parametrize("name", SEARCHES)
def test_searches(name, frame, labels, path, tmp_path):
    search = SEARCHES[name].set_params(estimator__memory=str(tmp_path / "cache"))
    search.fit(frame, labels)
    save(search, path)
    loaded = load(path)
    assert_same(search.best_estimator_, loaded.best_estimator_, frame)
    np.testing.assert_array_equal(loaded.predict(frame), search.predict(frame))
    assert loaded.score(frame, labels) == search.score(frame, labels)
    for column, values in search.cv_results_.items():
        assert str(loaded.cv_results_[column]) == str(values)


def test_every_estimator_is_tried():
    def parts(estimator):
        yield type(estimator)
        for part in estimator.get_params(deep=True).values():
            yield type(part)

    tried = {kind for model in MODELS.values() for kind in parts(model)}
    public = {
        getattr(tsanomaly, name)
        for name in tsanomaly.__all__
        if isinstance(getattr(tsanomaly, name), type)
        and issubclass(getattr(tsanomaly, name), BaseEstimator)
    }
    assert len(public) > 6
    # A fleet takes a frame of many machines: test_fleet.py saves some.
    assert public - tried == {tsanomaly.FleetDetector}


def test_a_file_does_not_grow_with_the_training_rows(path, rng):
    save(ReconstructionThreshold().fit(rng.gamma(1, size=(100_000, 2))), path)
    assert path.stat().st_size < 30_000  # the errors are 800,000 bytes


def test_output_as_frames(frame, path):
    model = WindowTransformer(2).set_output(transform="pandas").fit(frame)
    save(model, path)
    pd.testing.assert_frame_equal(load(path).transform(frame), model.transform(frame))


def test_float32_and_arrays(series, path):
    for X in (series, series.astype(np.float32), np.asfortranarray(series)):
        model = make_pipeline(WindowTransformer(3), ReconstructionError(PCA(2))).fit(X)
        save(model, path)
        np.testing.assert_array_equal(load(path).transform(X), model.transform(X))


def test_a_loaded_model_can_be_saved_fitted_and_cloned(frame, saved, tmp_path):
    loaded = load(saved)
    save(loaded, tmp_path / "again.skops")
    assert_same(loaded, load(tmp_path / "again.skops"), frame)
    assert_same(loaded, load(saved).fit(frame), frame)


def test_shared_parts_stay_shared(frame, path):
    part = FrozenEstimator(small_forest().fit(frame))
    model = make_union(ScoreTransformer(part), ScoreTransformer(part)).fit(frame)
    save(model, path)
    (_, first), (_, second) = load(path).transformer_list
    assert first.detector is second.detector


def test_the_manifest(frame, path):
    before = datetime.now(UTC)
    save(network().fit(frame), path)
    with ZipFile(path) as archive:
        manifest = json.loads(archive.read("tsanomaly.json"))
        assert {*archive.namelist()} == {*manifest["members"], "tsanomaly.json"}
    assert manifest["format"] == 2
    created = datetime.fromisoformat(manifest["created"])
    assert before - timedelta(seconds=1) <= created <= datetime.now(UTC)
    assert manifest["feature_names"] == ["ch_0", "ch_1"]
    assert manifest["versions"].keys() == {
        "tsanomaly",
        "scikit-learn",
        "numpy",
        "keras",
        "python",
    }
    assert manifest["versions"]["tsanomaly"] == tsanomaly.__version__
    assert manifest["versions"]["numpy"] == np.__version__


def test_keras_is_named_for_networks_alone(saved, frame, path):
    assert "keras" not in json.loads(content_of(saved)["tsanomaly.json"])["versions"]
    hidden = make_pipeline(ScoreTransformer(FrozenEstimator(network().fit(frame))))
    save(hidden.fit(frame), path)
    assert "keras" in json.loads(content_of(path)["tsanomaly.json"])["versions"]


def test_skops_reads_the_file(model, saved, frame):
    trusted = skops.io.get_untrusted_types(file=saved)
    assert_same(model, skops.io.load(saved, trusted=trusted), frame)


def test_global_random_states_stay(model, path):
    np.random.seed(0)
    random.seed(0)
    before = repr((np.random.get_state(), random.getstate()))
    save(model, path)
    load(path)
    assert repr((np.random.get_state(), random.getstate())) == before


def test_loading_needs_no_keras(frame, path):
    save(network().fit(frame), path)
    code = f"""
import sys
import tsanomaly
assert "skops" not in sys.modules
print(type(tsanomaly.load({str(path)!r})).__name__, "keras" in sys.modules)
"""
    assert run_python(code) == "LSTMAutoencoderDetector False"


# What cannot be saved


def test_unfitted_is_refused(path):
    with pytest.raises(NotFittedError, match="not fitted"):
        save(make_pipeline(StandardScaler(), network()), path)
    assert not path.exists()


@pytest.mark.parametrize("model", [None, "model", IsolationForest, np.zeros(3)])
def test_no_estimator_is_refused(model, path):
    with pytest.raises(TypeError, match="fitted estimator"):
        save(model, path)


def test_code_is_refused_and_the_old_file_stays(saved, frame):
    before = saved.read_bytes()
    model = FunctionTransformer(lambda X: X).fit(frame)
    with pytest.raises(TypeError, match=r"FunctionTransformer .* without code.*lambda"):
        save(model, saved)
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


def test_what_refers_to_itself_is_refused(model, frame, path):
    knot = small_forest().fit(frame)
    knot.itself_ = knot
    with pytest.raises(TypeError, match=r"IsolationForest .* without code"):
        save(knot, path)


# Writing


@pytest.mark.parametrize("fails", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left"), KeyboardInterrupt()])
def test_a_failure_leaves_the_old_file(saved, frame, monkeypatch, fails, error):
    def fail(*args):
        raise error

    before = saved.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, fails, fail)
        with pytest.raises(type(error)):
            save(small_forest().fit(frame), saved)
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


def test_a_file_is_synced_before_it_is_renamed(model, path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: calls.append("fsync") or fsync(fd))
    monkeypatch.setattr(
        os, "replace", lambda a, b: calls.append((a.parent, b)) or replace(a, b)
    )
    save(model, path)
    assert calls[:2] == ["fsync", (path.parent, path)]


def test_permissions_and_links_stay(model, saved, tmp_path):
    saved.chmod(0o640)
    link = tmp_path / "link.skops"
    link.symlink_to(saved)
    inode = saved.stat().st_ino
    save(model, link)
    assert link.is_symlink()
    assert saved.stat().st_ino != inode
    assert stat.S_IMODE(saved.stat().st_mode) == 0o640


def test_a_new_file_has_the_usual_permissions(saved, tmp_path):
    (tmp_path / "usual").touch()
    assert saved.stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_folder_is_no_file(model, tmp_path):
    with pytest.raises(FileExistsError, match="regular file"):
        save(model, tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        save(model, tmp_path / "nowhere" / "model.skops")
    with pytest.raises(FileNotFoundError, match=r"model\.skops"):
        load(tmp_path / "model.skops")


KILLED = """
import os, random, signal, sys, time
import numpy as np
from sklearn.ensemble import IsolationForest
from tsanomaly import load, save
from tsanomaly._saving import _atomic_write

path, rounds = sys.argv[1], int(sys.argv[2])
X = np.random.default_rng(0).normal(size=(200, 2))
models = [IsolationForest(n_estimators=n, random_state=0).fit(X) for n in (5, 20)]
scores = [model.score_samples(X) for model in models]
random.seed(int(sys.argv[3]))
ours, theirs = os.pipe()
name_of = _atomic_write.uuid4

def announce():  # is asked for a name right before the file is opened
    os.write(theirs, b"w")
    return name_of()

_atomic_write.uuid4 = announce
save(models[0], path)
os.read(ours, 1)
durations = []
for _ in range(5):  # in children too, where the first one takes longer
    child = os.fork()
    if child == 0:
        said, status = b"ff", 1
        try:
            save(models[0], path)
            said, status = b"s", 0
        finally:
            os.write(theirs, said)
            os._exit(status)
    os.read(ours, 1)
    start = time.perf_counter()
    os.read(ours, 1)
    durations.append(time.perf_counter() - start)
    assert os.waitpid(child, 0)[1] == 0
duration = sorted(durations)[2]
replaced = 0
for _ in range(rounds):
    inode = os.stat(path).st_ino
    child = os.fork()
    if child == 0:
        while True:
            for model in models:
                save(model, path)
    os.read(ours, 1)
    # A process that is asleep may wake too late: the clock is watched instead.
    end = time.perf_counter() + random.uniform(0, 2 * duration)
    while time.perf_counter() < end:
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.set_blocking(ours, False)
    try:
        os.read(ours, 1000)  # later writes of the one that is gone
    except BlockingIOError:
        pass
    os.set_blocking(ours, True)
    replaced += os.stat(path).st_ino != inode
    found = load(path).score_samples(X)
    assert any((found == expected).all() for expected in scores)
left = [name for name in os.listdir(os.path.dirname(path)) if name.endswith(".tmp")]
print(replaced, len(left))
"""


def kill(path, rounds, seed):
    """Kill processes that save, and check the file every time."""
    code = f"import sys; sys.argv = {['', str(path), str(rounds), str(seed)]!r}\n"
    replaced, left = run_python(code + KILLED).split()
    return int(replaced), int(left)


def test_a_killed_process_leaves_a_whole_file(path):
    replaced, _ = kill(path, 8, seed=0)
    assert replaced  # some got as far as to replace it


@pytest.mark.slow
def test_killed_processes_leave_whole_files(path):
    replaced, left = kill(path, 50, seed=1)
    assert replaced
    assert left  # some were killed while they wrote


# Files that are none


class Explosive:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_not_run(path, tmp_path, protocol):
    path.write_bytes(pickle.dumps(Explosive(tmp_path / "ran"), protocol))
    with pytest.raises(ValueError, match="pickle"):
        load(path)
    assert not (tmp_path / "ran").exists()


def test_other_files(model, path, tmp_path):
    joblib.dump(model, path)
    with pytest.raises(ValueError, match="pickle"):
        load(path)
    joblib.dump(model, path, compress=3)
    with pytest.raises(ValueError, match=r"not a model that tsanomaly\.save wrote"):
        load(path)
    for content in (b"", b"P", b"a,b\n1,2\n"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"not a model that tsanomaly\.save wrote"):
            load(path)
    skops.io.dump(model, path)
    with pytest.raises(ValueError, match=r"without tsanomaly\.json"):
        load(path)
    with pytest.raises(IsADirectoryError):
        load(tmp_path)


def test_truncated(saved):
    content = saved.read_bytes()
    for length in (100, len(content) // 2, len(content) - 1):
        saved.write_bytes(content[:length])
        with pytest.raises(ValueError, match="damaged"):
            load(saved)


def test_another_sha256(saved):
    members = content_of(saved)
    name = next(name for name in members if name.endswith(".npy"))
    members[name] = members[name][:-1] + b"\x01"
    write(saved, members)
    with pytest.raises(ValueError, match=f"damaged.*{name} has another .*SHA-256"):
        load(saved)


def test_a_flipped_bit(saved):
    content = bytearray(saved.read_bytes())
    with ZipFile(saved) as archive:
        offset = max(archive.infolist(), key=lambda info: info.file_size).header_offset
    content[offset + 200] ^= 4
    saved.write_bytes(content)
    with pytest.raises(ValueError, match="damaged"):
        load(saved)


def test_missing_and_additional_members(saved):
    members = content_of(saved)
    name = next(name for name in members if name.endswith(".npy"))
    without = {key: value for key, value in members.items() if key != name}
    write(saved, without)
    with pytest.raises(ValueError, match=f"{name} is missing, or not listed"):
        load(saved)
    write(saved, {**members, "more.npy": b""})
    with pytest.raises(ValueError, match=r"more\.npy is missing, or not listed"):
        load(saved)


@pytest.mark.parametrize(
    "name", ["../a.npy", "/a.npy", "a/b.npy", "..", ".a", "a\\b", "a?b", "c:a", "é"]
)
def test_names_that_lead_elsewhere(saved, name):
    write(saved, {**content_of(saved), name: b""})
    with pytest.raises(ValueError, match="name of a member"):
        load(saved)


def test_a_name_that_is_cut_short(saved):
    """Python itself reads names up to a zero byte."""
    write(saved, {**content_of(saved), "more_npy": b""})
    saved.write_bytes(saved.read_bytes().replace(b"more_npy", b"more\0npy"))
    with pytest.raises(ValueError, match=r"more\\x00npy"):
        load(saved)


def test_two_members_of_a_name(saved):
    members = content_of(saved)
    write(saved, [*members.items(), ("schema.json", members["schema.json"])])
    with pytest.raises(ValueError, match=r"schema\.json.*twice"):
        load(saved)


def test_other_compression(saved):
    write(saved, content_of(saved), ZIP_BZIP2)
    with pytest.raises(ValueError, match="compressed"):
        load(saved)


def test_a_bomb(saved):
    alter(saved, lambda members: members.update({"more.bin": bytes(2**26)}))
    assert saved.stat().st_size < 1e6
    with pytest.raises(ValueError, match=r"unpack to 67,"):
        load(saved)


def test_a_bomb_that_claims_to_be_small(saved):
    alter(saved, lambda members: members.update({"more.bin": bytes(2**24)}))
    content = saved.read_bytes()
    claimed = content.replace((2**24).to_bytes(4, "little"), (9).to_bytes(4, "little"))
    assert claimed != content
    saved.write_bytes(claimed)
    with pytest.raises(ValueError, match="damaged"):
        load(saved)


def test_a_bomb_with_sums_that_fit_what_it_claims(saved):
    """More is packed than the directory says; what that says is whole."""
    claimed, actual = bytes(9), bytes(2**26 + 12345)
    alter(saved, lambda members: members.update({"more.bin": claimed}))
    packed = io.BytesIO()
    with ZipFile(saved) as old, ZipFile(packed, "w", ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, actual if name == "more.bin" else old.read(name))
    content = packed.getvalue()
    for number, other in ((len(actual), 9), (crc32(actual), crc32(claimed))):
        assert number.to_bytes(4, "little") in content
        content = content.replace(
            number.to_bytes(4, "little"), other.to_bytes(4, "little")
        )
    saved.write_bytes(content)
    tracemalloc.start()
    load(saved)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**24


def test_an_array_that_claims_to_be_large(saved):
    def change(members):
        header = io.BytesIO()
        shape = {"descr": "<f8", "fortran_order": False, "shape": (2**40,)}
        np.lib.format.write_array_header_1_0(header, shape)
        name = next(name for name in members if name.endswith(".npy"))
        members[name] = header.getvalue() + bytes(8)

    alter(saved, change)
    with pytest.raises(ValueError, match=r"an array of shape \(1099511627776,\) has 8"):
        load(saved)


def test_an_array_that_many_claim(saved):
    def change(schema):
        for number, node in enumerate(nodes(schema, "NdArrayNode"), 1):
            if node["type"] == "numpy":
                node.update(file=first["file"], __id__=number)

    first = None
    schema = json.loads(content_of(saved)["schema.json"])
    first = next(n for n in nodes(schema, "NdArrayNode") if n["type"] == "numpy")
    alter_json(saved, change)
    with pytest.raises(ValueError, match="two objects"):
        load(saved)


def test_a_model_that_packs_well(frame, path):
    """It looks like a bomb if packed, so it is not."""
    model = NearestNeighbors(algorithm="brute").fit(np.zeros((100_000, 2)))
    save(model, path)
    assert load(path)._fit_X.shape == (100_000, 2)
    assert path.stat().st_size > 1e6


# Versions


@pytest.mark.parametrize(("number", "cure"), [(1, "Fit the model"), (3, "Upgrade")])
def test_another_format(saved, number, cure):
    alter_manifest(saved, format=number, versions=None, members=None)
    with pytest.raises(ValueError, match=f"format {number}, .* {cure}"):
        load(saved)


@pytest.mark.parametrize("number", [0, -1, True, "1", 1.0, None])
def test_no_format(saved, number):
    alter_manifest(saved, format=number)
    with pytest.raises(ValueError, match=r"tsanomaly\.json cannot be read"):
        load(saved)


@pytest.mark.parametrize(
    "changes",
    [{"versions": None}, {"versions": {"numpy": 2}}, {"members": []}, {"members": {}}],
)
def test_a_broken_manifest(saved, changes):
    alter_manifest(saved, **changes)
    with pytest.raises(ValueError, match="damaged"):
        load(saved)


@pytest.mark.parametrize("package", ["tsanomaly", "scikit-learn", "numpy", "python"])
def test_other_versions_warn_once(frame, path, package):
    model = make_pipeline(WindowTransformer(2), StandardScaler(), small_forest())
    save(model.fit(frame), path)
    versions = json.loads(content_of(path)["tsanomaly.json"])["versions"]
    alter_json(path, make_older)
    alter_manifest(path, versions={**versions, package: "0.0.1"})
    with pytest.warns() as warned:
        loaded = load(path)
    (warning,) = warned
    assert warning.category is VersionWarning
    assert f"was saved by {package} 0.0.1, and this is" in str(warning.message)
    assert f"{package} {versions[package]}: the model may" in str(warning.message)
    assert warning.filename == __file__
    assert_same(model, loaded, frame)


def test_a_model_that_other_versions_cannot_make(saved):
    def change(schema):
        set_number(next(nodes(schema, "TreeNode"))["content"], "node_count", 1)

    alter_json(saved, change)
    alter_manifest(saved, versions={"scikit-learn": "0.0.1", "numpy": np.__version__})
    with (
        pytest.warns(UserWarning, match=r"saved by scikit-learn 0\.0\.1,"),
        pytest.raises(ValueError, match=r"cannot be loaded by scikit-learn .*with sci"),
    ):
        load(saved)


def make_older(schema):
    """Make every estimator of a file one of an older version."""
    changed = 0
    for node in nodes(schema, "DictNode"):
        for name in {"_sklearn_version", "_tsanomaly_version"} & node["content"].keys():
            node["content"][name]["content"] = '"0.0.1"'
            changed += 1
    assert changed > 2


def test_patches_of_numpy_do_not_warn(saved, recwarn):
    versions = json.loads(content_of(saved)["tsanomaly.json"])["versions"]
    series = ".".join(np.__version__.split(".")[:2])
    alter_manifest(saved, versions={**versions, "numpy": f"{series}.999"})
    load(saved)
    assert not recwarn.list


# Types


def test_other_types_are_refused_by_name(frame, path):
    save(make_pipeline(Shift(), small_forest()).fit(frame), path)
    with pytest.raises(TypeError, match=r"Shift\. If .*trusted=\['tests.*Shift'"):
        load(path)
    for trusted in ([Shift], (f"{Shift.__module__}.Shift",), {Shift, np.ndarray}):
        assert isinstance(load(path, trusted=trusted)[0], Shift)
    with pytest.raises(TypeError, match=r"Shift"):
        load(path, trusted=[OtherNetwork])


def test_a_subclass_is_another_type(frame, path):
    save(OtherNetwork(3, units=(3,), epochs=1, random_state=0).fit(frame), path)
    with pytest.raises(TypeError, match="OtherNetwork"):
        load(path)
    assert isinstance(load(path, trusted=[OtherNetwork]), OtherNetwork)


def test_functions_are_refused_by_name(frame, path):
    save(FunctionTransformer(os.path.join).fit(frame), path)
    with pytest.raises(TypeError, match=r"posixpath\.join"):
        load(path)


def test_nothing_is_imported_for_an_unknown_type(saved, tmp_path, monkeypatch):
    (tmp_path / "unknown_module.py").write_text("raise SystemExit('ran')")
    monkeypatch.syspath_prepend(tmp_path)

    def change(schema):
        schema["__module__"] = "unknown_module"

    alter_json(saved, change)
    with pytest.raises(TypeError, match=r"unknown_module\.Pipeline"):
        load(saved)
    assert "unknown_module" not in sys.modules


@pytest.mark.parametrize(
    "content",
    [
        {
            "__loader__": "OperatorFuncNode",
            "__module__": "operator",
            "__class__": "methodcaller",
            "attrs": {"__loader__": "ListNode", "content": []},
        },
        {"__loader__": "TypeNode", "__module__": "os", "__class__": "system"},
        {"__loader__": "FunctionNode", "__module__": "os", "__class__": "system"},
        {
            "__loader__": "ConstructorFromReduceNode",
            "__module__": "os",
            "__class__": "system",
            "content": {"__loader__": "TupleNode", "content": []},
        },
    ],
    ids=lambda content: content["__loader__"],
)
def test_code_in_the_description(saved, content):
    for key in ("attrs", "content"):
        if key in content:
            kind = content[key]["__loader__"].removesuffix("Node").lower()
            content[key] |= {"__module__": "builtins", "__class__": kind}

    def change(schema):
        schema["content"]["content"]["memory"] = content

    alter_json(saved, change)
    name = f"{content['__module__']}.{content['__class__']}"
    with pytest.raises(TypeError, match=name):
        load(saved)


def test_known_functions_are_not_called(saved):
    """A list of a "type" that is a function would call it."""

    def change(schema):
        steps = schema["content"]["content"]["steps"]
        steps |= {"__module__": "sklearn.metrics._scorer", "__class__": "get_scorer"}

    alter_json(saved, change)
    with pytest.raises(ValueError, match="get_scorer"):
        load(saved)


@pytest.mark.parametrize("protocol", [0, 1, -1, 99, None, True])
def test_other_protocols(saved, protocol):
    alter_json(saved, lambda schema: schema.update(protocol=protocol))
    with pytest.raises(ValueError, match="damaged"):
        load(saved)


def test_a_deep_description(saved):
    def change(members):
        members["schema.json"] = b"[" * 100_000 + b"]" * 100_000

    alter(saved, change, ZIP_STORED)
    with pytest.raises(ValueError, match="damaged"):
        load(saved)


@pytest.mark.parametrize("trusted", [True, "a.B", None, 3, [3]])
def test_trusted_is_a_list(saved, trusted):
    with pytest.raises(TypeError, match="trusted must"):
        load(saved, trusted=trusted)


def test_gradient_boosting_is_refused_by_name(frame, labels, path):
    save(GradientBoostingRegressor(n_estimators=2).fit(frame, labels), path)
    name = "sklearn.ensemble._gb.GradientBoostingRegressor"
    with pytest.raises(TypeError, match=name):
        load(path)
    assert load(path, trusted=[name]).n_estimators_ == 2
    names = {f"{kind.__module__}.{kind.__name__}" for _, kind in all_estimators()}
    assert names >= UNCHECKED


# Altered indices, with SHA-256 that fit


def has_nodes(array):
    return array.dtype.names is not None and "left_child" in array.dtype.names


def set_number(node, name, value):
    """Change a number of an object, which may share its identity with equal ones."""
    before = node["content"][name]
    node["content"][name] = {**before, "content": str(value), "__id__": None}


def set_node(field, value, at=0):
    def change(array):
        array[field][at] = value
        return array

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_node("left_child", 10**6), "child that does not exist"),
        (set_node("right_child", -7), "child that does not exist"),
        (set_node("left_child", 0), "leads back"),
        (set_node("right_child", 1), "nodes on paths"),
        (set_node("feature", 2), "feature that does not exist"),
        (set_node("feature", -2), "feature that does not exist"),
        (set_node("left_child", -1), "nodes on paths"),
    ],
)
def test_altered_trees(saved, change, message):
    alter_array(saved, has_nodes, change)
    with pytest.raises(ValueError, match=f"altered: its parts.*{message}"):
        load(saved)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("node_count", 1, "nodes"),
        ("node_count", 0, "nodes"),
        ("max_depth", 0, "levels"),
    ],
)
def test_altered_sizes_of_trees(saved, name, value, message):
    def change(schema):
        for node in nodes(schema, "TreeNode"):
            set_number(node["content"], name, value)

    alter_json(saved, change)
    with pytest.raises(ValueError, match=f"altered: its parts.* {message}"):
        load(saved)


def test_trees_of_other_features(path, frame, labels):
    save(DecisionTreeRegressor().fit(frame, labels), path)

    def change(schema):
        set_number(schema["content"], "n_features_in_", 1)

    alter_json(path, change)
    with pytest.raises(ValueError, match=r"2 features instead of 1"):
        load(path)


@pytest.mark.parametrize("algorithm", ["kd_tree", "ball_tree"])
@pytest.mark.parametrize("value", [10**9, -(10**9)])
def test_altered_neighbour_trees_are_built_again(frame, path, algorithm, value):
    model = LocalOutlierFactor(algorithm=algorithm, novelty=True).fit(frame)
    save(model, path)

    def is_index(array):
        return array.dtype == np.intp and len(array) == len(frame)

    def is_node(array):
        return array.dtype.names is not None and "idx_start" in array.dtype.names

    alter_array(path, is_index, lambda array: np.full_like(array, value))
    alter_array(path, is_node, set_node("idx_end", value, slice(None)))
    assert_same(model, load(path), frame)


@pytest.mark.parametrize(
    ("metric", "parameters", "state"),
    [
        ("mahalanobis", {"VI": np.eye(2)}, (2.0, np.zeros(1), np.ones((1, 1)))),
        ("mahalanobis", {"VI": np.eye(2)}, (2.0, np.zeros(1), np.ones((2, 1)))),
        ("seuclidean", {"V": np.ones(2)}, (2.0, np.ones(1), np.ones((1, 1)))),
        ("minkowski", {"w": np.ones(2)}, (2.0, np.ones(1), np.ones((1, 1)))),
    ],
)
def test_altered_metrics(frame, path, metric, parameters, state):
    model = NearestNeighbors(
        algorithm="ball_tree", metric=metric, metric_params=parameters, p=3
    ).fit(frame)
    save(model, path)
    expected = model.kneighbors(frame)
    np.testing.assert_array_equal(load(path).kneighbors(frame), expected)
    model._tree.__getstate__()[11].__setstate__(state)
    with pytest.raises(ValueError, match="do not fit together"):
        unchecked_save_and_load(model, path)


def test_altered_neighbours(frame, path):
    save(LocalOutlierFactor(algorithm="brute", novelty=True).fit(frame), path)
    alter_array(path, lambda a: a.shape == frame.shape, lambda a: a[:, :1].copy())
    with pytest.raises(ValueError, match="rows and features instead of"):
        load(path)


@pytest.mark.parametrize("model", [OneClassSVM(), SVC(), SVC(kernel="precomputed")])
@pytest.mark.parametrize(
    "change",
    [
        ("support_", lambda a: a[:-1]),
        ("support_vectors_", lambda a: np.zeros((len(a) + 1, 2))),
        ("_dual_coef_", lambda a: a[:, :-1]),
        ("_intercept_", lambda a: a[:0]),
        ("_n_support", lambda a: np.append(a, a)),
        ("_probA", lambda a: np.zeros(5)),
    ],
    ids=lambda change: change[0],
)
def test_altered_support_vectors(model, change, frame, labels, path):
    X = frame @ frame.T if model.kernel == "precomputed" else frame
    model.fit(X, labels)
    save(model, path)
    assert load(path).predict(X).tolist() == model.predict(X).tolist()
    name, altered = change
    setattr(model, name, altered(getattr(model, name)))
    with pytest.raises(ValueError, match="do not fit together"):
        unchecked_save_and_load(model, path)


def test_altered_numbers_of_support_vectors(frame, labels, path):
    model = SVC(kernel="precomputed").fit(frame @ frame.T, labels)
    for name, values in {
        "_n_support": np.array([10**6, 1], np.int32),
        "support_": np.full_like(model.support_, 10**6),
    }.items():
        before = getattr(model, name)
        setattr(model, name, values)
        with pytest.raises(ValueError, match="do not fit together"):
            unchecked_save_and_load(model, path)
        setattr(model, name, before)


def unchecked_save_and_load(model, path):
    """Load what `save` would not have written."""
    path.write_bytes(_pack(model))
    return load(path)


# Any damage at all


def mutate(content, members, rng):
    """Damage a file in one of several ways."""
    content = bytearray(content)
    kind = rng.integers(7)
    start, stop = sorted(rng.integers(len(content), size=2).tolist())
    if kind == 0:  # single bits
        for position in rng.integers(len(content), size=rng.integers(1, 4)):
            content[position] ^= 1 << rng.integers(8)
    elif kind == 1:
        content = content[:start]
    elif kind == 2:
        content[start : start + 64] = rng.bytes(64)
    elif kind == 3:
        content[start:stop] = bytes(stop - start)
    elif kind == 4:  # somewhere in the directory, where single bits mean most
        position = len(content) - 1 - int(rng.integers(min(3000, len(content))))
        content[position] = rng.integers(256)
    else:  # members in each other's place, or missing
        names = list(members)
        first, second = rng.choice(len(names), 2, replace=False)
        first, second = names[first], names[second]
        members = {**members, first: members[second], second: members[first]}
        if kind == 6:
            del members[first]
        stream = io.BytesIO()
        write(stream, members)
        return stream.getvalue()
    return bytes(content)


def fuzz(path, model, frame, rounds, seed):
    """Load damaged files: the model as it was, or an error that `load` documents."""
    content, members = path.read_bytes(), content_of(path)
    rng = np.random.default_rng(seed)
    refusals = []
    for _ in range(rounds):
        path.write_bytes(mutate(content, members, rng))
        try:
            loaded = load(path)
        except ValueError as error:
            refusals.append(str(error))
        else:
            assert_same(model, loaded, frame)
    assert all(refusal.startswith(str(path)) for refusal in refusals)
    return len(refusals)


@pytest.mark.parametrize("name", ["imputed", "neighbours_kd_tree_minkowski"])
def test_damage(name, frame, path):
    model = MODELS[name].fit(frame)
    save(model, path)
    assert fuzz(path, model, frame, 150, seed=0) > 100


@pytest.mark.slow
@pytest.mark.parametrize("name", ["imputed", "network", "svm", "features"])
def test_much_damage(name, frame, path):
    model = MODELS[name].fit(frame)
    save(model, path)
    assert fuzz(path, model, frame, 500, seed=1) > 300


def attack(path, rounds, seed):
    """Load and use files whose parts were changed, with SHA-256 that fit."""
    X, content = wave(30), path.read_bytes()
    rng = np.random.default_rng(seed)

    def change(members):
        names = sorted(members.keys() - {"tsanomaly.json"})
        name = names[rng.integers(len(names))]
        altered = bytearray(members[name])
        # Past the header of an array, if it is one that holds something
        start = 128 if len(altered) > 128 and rng.random() < 0.9 else 0
        for position in rng.integers(start, len(altered), size=rng.integers(1, 4)):
            altered[position] = rng.integers(256)
        members[name] = bytes(altered)

    n_loaded = 0
    for _ in range(rounds):
        path.write_bytes(content)
        alter(path, change)
        with suppress(ValueError, TypeError):
            loaded = load(path)
            n_loaded += 1
            # What it says is no longer what was saved, or an error.
            with suppress(Exception):
                outputs(loaded, X)
    return n_loaded


ATTACKED = [
    "forest",
    "forest_of_columns",
    "neighbours_kd_tree_minkowski",
    "neighbours_ball_tree_seuclidean",
    "neighbours_brute_minkowski",
    "svm",
    "svm_poly",
    "density",
    "threshold_quantile_each",
]


@pytest.mark.slow
@pytest.mark.parametrize("name", ATTACKED)
def test_attacks(name, series, path):
    """In a process of its own, which a crash would end."""
    save(MODELS[name].fit(series[:30]), path)
    code = f"""
import warnings
from pathlib import Path
from tests.test_persistence import attack
warnings.simplefilter("ignore")
print(attack(Path({str(path)!r}), 300, seed=0))
"""
    assert int(run_python(code, PYTHONPATH=str(Path(__file__).parents[1]))) > 30
