# SPDX-License-Identifier: MIT
"""Loaded models equal the saved ones."""

import json
import os
import random
import re
import stat
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA, IncrementalPCA
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    IsolationForest,
)
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    StandardScaler,
)
from sklearn.tree import DecisionTreeRegressor

import tsanomaly
from tests.helpers import run_python
from tests.saving.helpers import (
    alter_json,
    alter_manifest,
    alter_state,
    assert_same,
    content_of,
    without_address,
)
from tests.saving.models import (
    MODELS,
    SEARCHES,
    OtherNetwork,
    Shift,
    network,
    small_forest,
)
from tsanomaly import (
    ModelFileError,
    ReconstructionError,
    ReconstructionThreshold,
    ScoreTransformer,
    WindowTransformer,
    describe,
    load,
    save,
)
from tsanomaly._validation import VersionWarning
from tsanomaly.metrics import make_anomaly_scorer

pytestmark = pytest.mark.network


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
    # A fleet takes a frame of many machines: test_fleet.py saves some. A filter of
    # alarms has no fit: test_streams.py saves it with a stream.
    assert public - tried == {tsanomaly.FleetDetector, tsanomaly.AlarmFilter}


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


def test_shared_parts_are_written_for_each(frame, path):
    """There are no references in a file, so nothing can refer to itself."""
    part = FrozenEstimator(small_forest().fit(frame))
    model = make_union(ScoreTransformer(part), ScoreTransformer(part)).fit(frame)
    save(model, path)
    loaded = load(path)
    assert_same(model, loaded, frame)
    (_, first), (_, second) = loaded.transformer_list
    assert first.detector is not second.detector


@pytest.mark.parametrize("kind", [np.random.RandomState, np.random.default_rng])
def test_a_generator_becomes_a_seed(frame, path, kind):
    """Drawn from a copy: the generator of the model goes on as if it was not saved."""
    model = make_pipeline(StandardScaler(), ReconstructionError(PCA(1)))
    model.fit(frame)
    generator = kind(0)
    model[-1].transformer.random_state = generator
    before = repr(
        getattr(generator, "get_state", lambda: generator.bit_generator.state)()
    )
    save(model, path)
    state = getattr(generator, "get_state", lambda: generator.bit_generator.state)
    assert repr(state()) == before
    seed = load(path)[-1].transformer.random_state
    assert isinstance(seed, int)
    save(model, path)
    assert load(path)[-1].transformer.random_state == seed


def test_the_manifest(frame, path):
    before = datetime.now(UTC)
    save(network().fit(frame), path)
    with ZipFile(path) as archive:
        manifest = json.loads(archive.read("tsanomaly.json"))
        assert {*archive.namelist()} == {*manifest["members"], "tsanomaly.json"}
    assert manifest["format"] == 6
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
replaced = done = 0
while done < rounds or (not replaced and done < 10 * rounds):  # on a busy machine
    done += 1
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


# Versions


@pytest.mark.parametrize(
    ("number", "cure"),
    [(1, "Refit the"), (5, "Refit the"), (7, "Install a newer")],
)
def test_another_format(saved, number, cure):
    alter_manifest(saved, format=number, versions=None, members=None)
    with pytest.raises(ValueError, match=f"format {number}, .* {cure}"):
        load(saved)


@pytest.mark.parametrize(
    "preparation",
    [
        [],
        "1min",
        {"resample": 60},
        {"fill": "backwards"},
        {"fill_limit": 0},
        {"fill_limit": True},
        {"na_values": [-9999]},
        {"max_gap": 1.5},
        {"other": "x"},
    ],
)
def test_no_preparation(saved, preparation):
    alter_manifest(saved, preparation=preparation)
    with pytest.raises(ValueError, match=r"tsanomaly\.json cannot be read"):
        load(saved)


@pytest.mark.parametrize("row_step", [0.0, -1.0, 60, True, "1min", [1.0]])
def test_no_time_between_rows(saved, row_step):
    alter_manifest(saved, row_step=row_step)
    with pytest.raises(ValueError, match=r"tsanomaly\.json cannot be read"):
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
    forest = "sklearn.ensemble.IsolationForest"
    alter_state(saved, forest, "state", "_max_features", value=7)
    alter_manifest(saved, versions={"scikit-learn": "0.0.1", "numpy": np.__version__})
    with (
        pytest.warns(UserWarning, match=r"saved by scikit-learn 0\.0\.1,"),
        pytest.raises(ValueError, match=r"cannot be loaded by scikit-learn .*with sci"),
    ):
        load(saved)


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
    name = "unknown_module.Pipeline"
    made = {"arguments": [], "state": None, "items": [], "pairs": []}
    place = "sklearn.pipeline.Pipeline", "params", "memory"
    for node in ({"name": name}, {"call": name, **made}):
        alter_state(saved, *place, value=node)
        with pytest.raises(TypeError, match=r"unknown_module\.Pipeline"):
            load(saved)
    alter_state(saved, *place, value=None)
    alter_json(saved, lambda document: document.update({"class": name}))
    with pytest.raises(ModelFileError, match="not a class that a file may contain"):
        load(saved)
    assert "unknown_module" not in sys.modules


@pytest.mark.parametrize(
    "node",
    [
        {"function": "os.system"},
        {"function": "numpy.load"},
        {"type": "builtins.eval"},
        {"dtype": "|O"},
        {"class": "sklearn.metrics.get_scorer", "params": {}, "state": {}},
        {"class": "os.system", "params": {"command": "true"}, "state": {}},
        {"class": "tsanomaly.load", "params": {"path": "x"}, "state": {}},
        {"scorer": "make_scorer", "arguments": {}},
        {"scorer": "sklearn.os", "arguments": {}},
        {"scalar": "|O", "value": 1},
        {"scalar": "<f8", "value": "x"},
        {"float": "1"},
        {"slice": [1]},
        {"dict": [1]},
        {"tuple": {"a": 1}},
        {"array": "model.json"},
        {"array": "100.npy"},
        {"array": "0.npy"},
        {"objects": [1, 2], "shape": [3]},
        {"objects": [1, 2], "shape": [-2, -1]},
        {"strings": [1], "shape": [1]},
        {"masked": [1], "mask": [0], "fill": 0},
        {"float": "nan", "more": 1},
        {"__reduce__": []},
        {},
    ],
    ids=str,
)
def test_code_in_the_description(saved, node):
    alter_state(saved, "sklearn.pipeline.Pipeline", "params", "memory", value=node)
    with pytest.raises(ModelFileError, match="was altered"):
        load(saved)


def test_trust_is_for_what_is_named_alone(saved):
    """Neither a part of a trusted name nor what it is made with comes for free."""
    node = {"call": "functools.partial.__new__", "arguments": [{"name": "os.system"}]}
    node |= {"state": None, "items": [], "pairs": []}
    alter_state(saved, "sklearn.pipeline.Pipeline", "params", "memory", value=node)
    with pytest.raises(TypeError, match=r"safe: functools\.partial, os\.system"):
        load(saved)
    with pytest.raises(TypeError, match=r"safe: os\.system\."):
        load(saved, trusted=["functools.partial"])


@pytest.mark.parametrize("trusted", [True, "a.B", None, 3, [3]])
def test_trusted_is_a_list(saved, trusted):
    with pytest.raises(TypeError, match="trusted must"):
        load(saved, trusted=trusted)


def test_what_is_not_known_is_loaded_with_trust(frame, labels, path):
    """Compiled code of all kinds, sparse matrices and functions among it."""
    for model in (
        GradientBoostingRegressor(n_estimators=2),
        DecisionTreeRegressor(),
        HistGradientBoostingRegressor(max_iter=2),
        make_pipeline(KBinsDiscretizer(3, strategy="uniform"), Ridge()),
        FunctionTransformer(partial(np.round, decimals=1)),
    ):
        save(model.fit(frame, labels), path)
        trusted = describe(path)["trusted"]
        with pytest.raises(TypeError, match=re.escape(trusted[0])):
            load(path)
        assert_same(model, load(path, trusted=trusted), frame)


# Fitted in less usual ways


@pytest.mark.parametrize("kind", [np.int64, np.float32, bool])
@pytest.mark.parametrize("algorithm", ["kd_tree", "brute"])
def test_neighbours_of_any_numbers(path, rng, kind, algorithm):
    X = rng.integers(0, 9, size=(60, 2)).astype(kind)
    model = LocalOutlierFactor(algorithm=algorithm, novelty=True).fit(X)
    save(model, path)
    np.testing.assert_array_equal(load(path).score_samples(X), model.score_samples(X))


def test_components_in_another_order(path, series):
    model = IncrementalPCA(1).fit(np.asfortranarray(series))
    save(model, path)
    np.testing.assert_array_equal(load(path).transform(series), model.transform(series))
    model = IncrementalPCA(1).partial_fit(series)
    save(model, path)
    np.testing.assert_array_equal(load(path).transform(series), model.transform(series))


@pytest.mark.parametrize(
    "columns",
    [["ch_0"], slice("ch_0", "ch_0"), pd.Index(["ch_0"])],
    ids=["list", "slice", "index"],
)
def test_columns_in_many_ways(path, frame, columns):
    model = ColumnTransformer([("a", StandardScaler(), columns)]).fit(frame)
    model.set_output(transform="pandas")
    save(model, path)
    pd.testing.assert_frame_equal(load(path).transform(frame), model.transform(frame))


def test_a_search_without_refit_or_score(path, frame):
    search = GridSearchCV(
        make_pipeline(ReconstructionError(PCA(1)), ReconstructionThreshold()),
        {"reconstructionthreshold__quantile": [0.9]},
        scoring=lambda model, X, y: np.nan,
        refit=False,
        cv=2,
    ).fit(frame)
    search.scorer_ = search.scoring = "accuracy"  # a function needs trust
    with pytest.raises(TypeError, match="scorer_"):
        save(search, path)
    search.scoring, search.scorer_ = (
        make_anomaly_scorer("f1"),
        make_anomaly_scorer("f1"),
    )
    save(search, path)
    assert np.isnan(load(path).cv_results_["mean_test_score"]).all()


def test_what_is_refused_says_why(path, frame):
    model = small_forest().fit(frame)
    model.offset_ = np.nan
    with pytest.raises(TypeError, match=r"could not be loaded once saved: .*offset_"):
        save(model, path)
