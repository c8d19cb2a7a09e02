# SPDX-License-Identifier: MIT
"""Files of fleets: each detector is a model file within the file."""

import copy
import io
import json
import os
import pickle
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from tests.saving.helpers import alter, content_of, write
from tsanomaly import (
    AutoregressiveDetector,
    FleetDetector,
    ModelFileError,
    ReconstructionError,
    ReconstructionThreshold,
    StreamingDetector,
    describe,
    load,
    save,
)
from tsanomaly._saving import _archive, _parts, _persistence, from_bytes, to_bytes

NAMES = ["a", "b", "c"]


@pytest.fixture
def frame(rng):
    frame = pd.DataFrame(rng.normal(size=(360, 3)), columns=["flow", "heat", "load"])
    return frame.assign(pump=np.repeat(NAMES, 120))


@pytest.fixture
def fleet(frame):
    detector = make_pipeline(
        StandardScaler(), ReconstructionError(PCA(1)), ReconstructionThreshold()
    )
    return FleetDetector(detector, by="pump", min_rows=50).fit(frame)


@pytest.fixture
def path(fleet, tmp_path):
    path = tmp_path / "fleet.skops"
    save(fleet, path)
    return path


@pytest.fixture
def read(monkeypatch):
    """Names of the parts that are read."""
    names, read_part = [], _archive.read_part

    def reading(file, part):
        names.append(part.name)
        return read_part(file, part)

    monkeypatch.setattr(_parts, "read_part", reading)
    return names


def change_byte(path, member):
    """Change a byte in the middle of a member, as a disk might."""
    content = bytearray(path.read_bytes())
    with ZipFile(path) as archive:
        found = archive.getinfo(member)
    content[found.header_offset + found.compress_size // 2] ^= 4
    path.write_bytes(content)


def test_one_machine_is_read_for_one_machine(path, fleet, frame, read):
    loaded = load(path, lazy=True)
    assert read == []
    rows = frame[frame["pump"] == "b"]
    expected = fleet.score_samples(rows)
    np.testing.assert_array_equal(loaded.score_samples(rows), expected)
    assert read == ["1.skops"]
    np.testing.assert_array_equal(loaded.score_samples(rows), expected)
    assert loaded.detectors_["b"] is loaded.detectors_["b"]
    assert read == ["1.skops"]  # it was kept
    np.testing.assert_array_equal(
        loaded.score_samples(frame), fleet.score_samples(frame)
    )
    assert sorted(read) == ["0.skops", "1.skops", "2.skops"]


def test_detectors_by_name_are_read_when_asked_for(path, read):
    detectors = load(path, lazy=True).detectors_
    assert list(detectors) == NAMES
    assert len(detectors) == 3
    assert "b" in detectors
    assert "d" not in detectors
    assert detectors.get("d") is None
    assert read == []
    assert detectors["c"][-1].threshold_ > 0
    assert read == ["2.skops"]
    with pytest.raises(KeyError, match="d"):
        detectors["d"]


def test_new_machines_need_no_part(path, fleet, frame, read):
    loaded = load(path, lazy=True)
    rows = frame[:50].assign(pump="new")
    np.testing.assert_array_equal(loaded.predict(rows), fleet.predict(rows))
    assert read == []


def test_all_are_read_at_once_unless_asked_otherwise(path, fleet, frame):
    loaded = load(path)
    path.unlink()
    assert type(loaded.detectors_) is dict
    np.testing.assert_array_equal(
        loaded.score_samples(frame), fleet.score_samples(frame)
    )
    np.testing.assert_array_equal(
        from_bytes(to_bytes(fleet)).score_samples(frame), fleet.score_samples(frame)
    )


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda fleet: pickle.loads(pickle.dumps(fleet))],
    ids=["deepcopy", "pickle"],
)
def test_copies_hold_all_detectors(path, frame, copied):
    loaded = copied(load(path, lazy=True))
    path.unlink()
    assert loaded.score_samples(frame).shape == (len(frame),)


def test_saved_over_its_own_file(path, fleet, frame):
    loaded = load(path, lazy=True)
    save(loaded, path)
    for lazy in (False, True):
        np.testing.assert_array_equal(
            load(path, lazy=lazy).score_samples(frame), fleet.score_samples(frame)
        )


def test_the_working_directory_may_change(path, frame, monkeypatch, tmp_path):
    monkeypatch.chdir(path.parent)
    loaded = load(path.name, lazy=True)
    (tmp_path / "elsewhere").mkdir()
    os.chdir(tmp_path / "elsewhere")
    assert loaded.score_samples(frame).shape == (len(frame),)


@pytest.mark.parametrize("lazy", [False, True])
def test_fitting_again_needs_no_file(path, frame, lazy):
    loaded = load(path, lazy=lazy)
    path.unlink()
    assert type(loaded.fit(frame).detectors_) is dict


def test_a_deleted_file(path, frame):
    loaded = load(path, lazy=True)
    loaded.score_samples(frame[frame["pump"] == "a"])
    path.unlink()
    loaded.score_samples(frame[frame["pump"] == "a"])  # it was read before
    with pytest.raises(ModelFileError, match=r"\(pump=b\) cannot be read any more"):
        loaded.detectors_["b"]
    with pytest.raises(
        RuntimeError, match=r"2 of 3 machines.*pump=b \(ModelFileError: .*Load the"
    ) as caught:
        loaded.score_samples(frame)
    assert str(caught.value).endswith(
        ". Restore the model file and load it again, or fit the fleet again, or set "
        "on_error='warn' to continue without them."
    )
    loaded.set_params(on_error="warn")
    with pytest.warns(UserWarning, match="2 of 3 machines could not be scored"):
        scores = loaded.score_samples(frame)
    assert np.isfinite(scores[:120]).all()
    assert np.isnan(scores[120:]).all()


def test_a_replaced_file(path, frame):
    loaded = load(path, lazy=True)
    save(load(path).fit(frame + frame), path)
    with pytest.raises(ModelFileError, match=r"\(pump=b\) .*when the file was opened"):
        loaded.detectors_["b"]


def test_a_damaged_part_names_its_machine(path, frame):
    change_byte(path, "1.skops")
    with pytest.raises(ModelFileError, match=r"fleet\.skops \(pump=b\) is damaged"):
        load(path)
    loaded = load(path, lazy=True)
    assert loaded.detectors_["a"] is not None
    with pytest.raises(ModelFileError, match=r"fleet\.skops \(pump=b\) is damaged"):
        loaded.detectors_["b"]


def test_a_part_is_a_model_file(path, fleet, frame, tmp_path):
    part = tmp_path / "b.skops"
    part.write_bytes(content_of(path)["1.skops"])
    rows = frame.loc[frame["pump"] == "b", ["flow", "heat", "load"]]
    np.testing.assert_array_equal(
        load(part).score_samples(rows), fleet.detectors_["b"].score_samples(rows)
    )


def alter_parts(path, change):
    """Change members, with the parts stored and sums that fit."""
    alter(path, change)
    members, packed = content_of(path), io.BytesIO()
    write(packed, members, 0)
    path.write_bytes(packed.getvalue())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.pop("1.skops"), r"1\.skops is missing"),
        (lambda m: m.pop("2.skops"), "3 models are missing"),
        (lambda m: m.update({"3.skops": m["2.skops"]}), "3 models are missing"),
        (lambda m: m.update({"x.skops": m.pop("2.skops")}), r"2\.skops is missing"),
        (lambda m: m.update({"1.skops": b"PK"}), r"pump=b\) is damaged"),
    ],
)
@pytest.mark.parametrize("lazy", [False, True])
def test_parts_that_do_not_fit(path, change, message, lazy):
    alter_parts(path, change)
    with pytest.raises(ModelFileError, match=message):
        load(path, lazy=lazy).detectors_["b"]


def test_parts_of_other_models(path, fleet, frame, tmp_path):
    """A model has parts, of a fleet; a part has none, and is no stream."""
    other = tmp_path / "other.skops"
    save(fleet.detectors_["a"], other)
    assert not any(name.endswith(".skops") for name in content_of(other))
    alter_parts(other, lambda m: m.update({"0.skops": b""}))
    with pytest.raises(ModelFileError, match="models are not used"):
        load(other)
    of_model = other.read_bytes()
    save(StreamingDetector(fleet.detectors_["a"]), other)
    for content, message in (
        (of_model, "no detector of one machine"),
        (other.read_bytes(), "no detector of one machine"),
        (path.read_bytes(), "3 models are missing"),
    ):
        alter_parts(path, lambda m, content=content: m.update({"1.skops": content}))
        with pytest.raises(ModelFileError, match=rf"\(pump=b\).*{message}"):
            load(path, lazy=True).detectors_["b"]


def test_a_compressed_part_is_refused(path):
    write(path, content_of(path))
    with pytest.raises(ModelFileError, match=r"skops is compressed"):
        load(path, lazy=True)


def test_parts_together_hold_no_more_objects_than_their_sizes_allow(path, monkeypatch):
    monkeypatch.setattr(_persistence, "_BYTES_OF_AN_OBJECT", 10**9)
    monkeypatch.setattr(_persistence, "_PACKED_BYTES_OF_AN_OBJECT", 10**9)
    assert load(path) is not None
    monkeypatch.setattr(_persistence, "_MOST_OBJECTS", 20)  # enough for any one
    loaded = load(path, lazy=True)
    with pytest.raises(ModelFileError, match="objects are too many"):
        list(loaded.detectors_.values())


def test_types_that_need_trust(frame, tmp_path):
    """Those of a part are named, before an object of it is made."""
    detector = make_pipeline(
        FunctionTransformer(_same), IsolationForest(n_estimators=3, random_state=0)
    )
    path = tmp_path / "fleet.skops"
    fleet = FleetDetector(detector, by="pump", min_rows=50, fallback=None).fit(frame)
    fleet.detector = IsolationForest()  # of which no part is made
    save(fleet, path)
    (name,) = describe(path)["trusted"]
    loaded = load(path, lazy=True)
    with pytest.raises(TypeError, match=rf"pump=a.*trusted=\['{name}'\]"):
        loaded.detectors_["a"]
    with pytest.raises(
        RuntimeError, match=r"\. Load the fleet with these types in tru"
    ):
        loaded.score_samples(frame[:120])
    with pytest.raises(TypeError, match=r"pump=a"):
        load(path)
    assert load(path, lazy=True, trusted=[name]).detectors_["a"] is not None


def _same(X):
    return X


def test_described_without_an_object(path, frame):
    found = describe(path)
    assert found["n_machines"] == 3
    thresholds = [model[-1].threshold_ for model in load(path).detectors_.values()]
    assert found["threshold"] == {
        "min": min(thresholds),
        "median": np.median(thresholds),
        "max": max(thresholds),
    }
    assert found["n_training_rows"] > 120  # of the fallback
    assert found["n_channels"] == 3
    assert found["trusted"] == []
    json.dumps(found)


def test_the_threshold_of_a_fleet_without_machines_of_its_own(tmp_path, frame, fleet):
    path = tmp_path / "small.skops"
    save(fleet.set_params(min_rows=1000).fit(frame), path)
    found = describe(path)
    assert found["n_machines"] == 0
    assert found["threshold"]["median"] == fleet.fallback_[-1].threshold_


def test_many_small_detectors_are_not_too_many_objects(tmp_path, frame):
    detector = make_pipeline(StandardScaler(), AutoregressiveDetector(window_size=2))
    fleet = FleetDetector(detector, by="pump", min_rows=50)
    fleet.fit(frame[["flow", "pump"]][:120])
    fleet._models, fleet.groups_ = fleet._models * 500, np.arange(500)
    save(fleet, tmp_path / "many.skops")
    assert len(load(tmp_path / "many.skops", lazy=True).detectors_) == 500


def test_a_lazy_fleet_whose_file_was_replaced_is_not_saved(path, fleet, tmp_path):
    loaded = load(path, lazy=True)
    path.unlink()
    save(FleetDetector(IsolationForest(), by="pump").fit(fleet_frame()), path)
    with pytest.raises(ModelFileError, match=r"pump=a.*when the file was opened"):
        save(loaded, tmp_path / "other.skops")
    assert "3 machines" in repr(loaded.detectors_)


def fleet_frame():
    X = np.random.default_rng(1).normal(size=(60, 3))
    return pd.DataFrame(X, columns=["flow", "heat", "load"]).assign(pump="a")
