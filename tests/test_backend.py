# SPDX-License-Identifier: MIT
"""Which backend Keras gets, tried in fresh processes."""

import json
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import run_python
from tsanomaly import _backend, set_compilation_cache

pytestmark = pytest.mark.network

FIT = """
import numpy as np
from tests.helpers import tiny_detector, wave
detector = tiny_detector().fit(wave(60))
import keras  # as in a function of the user that the library calls
print(keras.backend.backend(), np.isfinite(detector.offset_))
"""


@pytest.fixture
def without_keras(monkeypatch, tmp_path):
    """A process in which Keras is not imported, with an empty home."""
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))

    def install(*names):
        monkeypatch.setattr(
            _backend, "find_spec", lambda name: name if name in names else None
        )

    def configure(**content):
        (tmp_path / "keras.json").write_text(json.dumps(content))

    return install, configure


def test_order_of_preference(without_keras, monkeypatch):
    install, configure = without_keras
    install("tensorflow", "torch", "jax")
    assert _backend.choose_backend() == "jax"
    install("tensorflow", "torch")
    assert _backend.choose_backend() == "torch"
    configure(backend="tensorflow")
    assert _backend.choose_backend() == "tensorflow"
    install("jax")
    assert _backend.choose_backend() == "jax"  # the file was written by Keras itself
    configure(backend="torch")
    assert _backend.choose_backend() == "torch"
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert _backend.choose_backend() == "jax"
    monkeypatch.setitem(sys.modules, "keras", object())
    assert _backend.choose_backend() is None


@pytest.mark.parametrize("content", ["", "[]", "{", '{"floatx": "float32"}'])
def test_a_file_that_says_nothing(without_keras, tmp_path, content):
    install, _ = without_keras
    install("jax")
    (tmp_path / "keras.json").write_text(content)
    assert _backend.choose_backend() == "jax"


def test_no_backend_says_what_to_install(without_keras, monkeypatch):
    install, _ = without_keras
    install()
    with pytest.raises(ImportError, match="pip install jax"):
        _backend.choose_backend()
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with pytest.raises(ImportError, match="pip install torch"):
        _backend.choose_backend()
    monkeypatch.setenv("KERAS_BACKEND", "numpy")
    with pytest.raises(ImportError, match="jax, torch, tensorflow, or unset"):
        _backend.choose_backend()


def test_a_fit_without_a_backend_leaves_the_detector_unfitted():
    code = """
import sys
import importlib.util
from tests.helpers import tiny_detector, wave
from tsanomaly import _backend
_backend.find_spec = lambda name: None
detector = tiny_detector()
try:
    detector.fit(wave(50))
except ImportError as error:
    print("pip install jax" in str(error), hasattr(detector, "n_features_in_"))
"""
    assert run_python(code, KERAS_BACKEND="") == "True False"


def test_two_processes_in_a_row_with_an_empty_home(tmp_path):
    environment = {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    code = "import os\nos.environ.pop('KERAS_BACKEND', None)\n" + FIT
    assert run_python(code, **environment).endswith("True")
    assert (tmp_path / ".keras" / "keras.json").is_file()  # Keras leaves this behind
    assert run_python(code, **environment).endswith("True")


WITHOUT_TENSORFLOW = """
import os, sys
os.environ.pop("KERAS_BACKEND", None)
sys.modules["tensorflow"] = None  # as if not installed
"""


@pytest.fixture
def empty_home(tmp_path):
    """Environment of a user who has never run Keras."""
    home = str(tmp_path)
    return {"HOME": home, "USERPROFILE": home, "KERAS_HOME": str(tmp_path / ".keras")}


def test_keras_in_a_file_takes_the_line_of_the_user_guide(empty_home):
    guide = Path(__file__).parents[1] / "docs" / "user_guide" / "backends.md"
    [line] = re.findall(r"^os\.environ.*", guide.read_text(), flags=re.MULTILINE)
    code = f"{WITHOUT_TENSORFLOW}\n{line}\nimport keras\nprint(keras.backend.backend())"
    assert run_python(code, **empty_home) == "jax"


def test_a_backend_of_keras_json_that_is_not_installed(empty_home, tmp_path):
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras" / "keras.json").write_text('{"backend": "torch"}')
    code = f"""
{WITHOUT_TENSORFLOW}
from tsanomaly._backend import import_keras
sys.modules["torch"] = None
try:
    import_keras()
except ImportError as error:
    print(error)
"""
    message = run_python(code, **empty_home)
    assert "pip install torch" in message
    assert "os.environ['KERAS_BACKEND'] = 'jax'" in message


def test_the_first_import_leaves_random_states_alone():
    code = """
import random, sys
import numpy as np
from tests.helpers import tiny_detector, wave
assert "keras" not in sys.modules
np.random.seed(1); random.seed(1)
expected = np.random.rand(), random.random()
np.random.seed(1); random.seed(1)
X = wave(60)
tiny_detector(random_state=None, dropout=0.1).fit(X)
assert "keras" in sys.modules
print((np.random.rand(), random.random()) == expected)
"""
    assert run_python(code) == "True"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_raises_at_once():
    code = """
import os, signal, warnings
warnings.simplefilter("ignore")
from tests.helpers import tiny_detector, wave
from tsanomaly import _threads
detector = tiny_detector(linear_variance=0).fit(wave(60))
import keras
assert keras.backend.backend() == "jax"
read, write = os.pipe()
_threads._lock.acquire()  # as if another thread were fitting
child = os.fork()
if child == 0:
    signal.alarm(20)  # ends it if it hangs
    for method in (detector.score_samples, detector.fit):
        try:
            method(wave(60))
            answer = "no error"
        except RuntimeError as error:
            answer = str(error)
        os.write(write, answer.encode() + b"\\n")
    os._exit(0)
os.waitpid(child, 0)
print(os.read(read, 10_000).decode())
"""
    answers = run_python(code, KERAS_BACKEND="jax").splitlines()
    assert len(answers) == 2
    for answer in answers:
        assert all(word in answer for word in ("'spawn'", "'forkserver'", "loky"))


def installed(backend):
    """The backend as a test parameter, skipped where it is not installed."""
    missing = find_spec(backend) is None
    mark = pytest.mark.skipif(missing, reason=f"{backend} is not installed")
    return pytest.param(backend, marks=mark)


@pytest.mark.parametrize("backend", [installed("torch"), installed("tensorflow")])
def test_scores_are_the_same_on_another_backend(backend, tmp_path):
    """Fitted on jax, scored elsewhere; and fitted there, too."""
    code = f"""
import joblib, keras
import numpy as np
from tests.helpers import tiny_detector, wave
X = wave(150)
detector = tiny_detector(epochs=3, latent_dim=2, units=(6, 4), dropout=0.1)
try:
    fitted = joblib.load({str(tmp_path / "model.joblib")!r})
except FileNotFoundError:
    fitted = detector.fit(X)
    joblib.dump(fitted, {str(tmp_path / "model.joblib")!r})
np.save({str(tmp_path)!r} + "/" + keras.backend.backend(), fitted.score_samples(X))
print(detector.fit(X).n_iter_)
"""
    for name in ("jax", backend):
        # Flags of jax's compiler may be unknown to that of another backend.
        assert run_python(code, KERAS_BACKEND=name, XLA_FLAGS="").endswith("3")
    here, there = (np.load(tmp_path / f"{name}.npy") for name in ("jax", backend))
    np.testing.assert_allclose(there, here, rtol=1e-4)


def test_processes_share_a_compilation_cache(tmp_path):
    """Two fill it side by side; a third finds all of it, and survives damage to it."""
    folder = str(tmp_path / "new" / "cache")
    functions = """
def results():
    return [float(jax.jit(lambda x, n=n: n * x + 1)(3.0)) for n in range(10)]
"""
    fill = f"""
import sys
from tsanomaly import set_compilation_cache
set_compilation_cache({folder!r})
assert not {{"keras", "jax"}} & set(sys.modules)
import jax
{functions}
print(results())
"""
    use = f"""
import os, warnings
import jax
from tsanomaly import set_compilation_cache
{functions}
jax.jit(lambda x: x + 1)(1.0)  # compiled before there is a cache
set_compilation_cache({folder!r})
events = []
jax.monitoring.register_event_listener(lambda event, **details: events.append(event))
expected = results()
assert sum(event.endswith("cache_hits") for event in events) >= 10
assert not any(event.endswith("cache_misses") for event in events)
kept = [entry.path for entry in os.scandir({folder!r})]
for path in kept:
    os.truncate(path, os.path.getsize(path) // 2)
jax.clear_caches()
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    assert results() == expected
assert any("cache entry" in str(warning.message) for warning in caught)
set_compilation_cache(None)
assert "JAX_COMPILATION_CACHE_DIR" not in os.environ
jax.jit(lambda x: x - 1)(1.0)
assert len(os.listdir({folder!r})) == len(kept)
print(expected)
"""
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(run_python, [fill, fill])
    assert one == other == run_python(use)


def test_networks_are_kept_in_the_compilation_cache(fitted):
    import keras

    if keras.backend.backend() == "jax":
        with os.scandir(os.environ["JAX_COMPILATION_CACHE_DIR"]) as entries:
            assert any("jit_" in entry.name for entry in entries)


def test_a_compilation_cache_that_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "as before")
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError, match="can write to") as caught:
            set_compilation_cache(folder)
        assert str(folder) in str(caught.value)
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == "as before"
    with pytest.raises(TypeError, match="int"):
        set_compilation_cache(3)
