# SPDX-License-Identifier: MIT
"""The benchmark of devices: rates, choice of the batch size, missing backends."""

import json
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

pytestmark = pytest.mark.network

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def device_speed(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import device_speed

    return device_speed


@pytest.mark.parametrize(
    ("rates", "fastest", "tried"),
    [
        ([10, 20, 40], 4, [1, 2, 4]),
        ([10, 20, 21, 90], 4, [1, 2, 4]),  # gains too little to go on
        ([10, 5, 90], 1, [1, 2]),
        ([10, 20, MemoryError("too large")], 2, [1, 2]),
    ],
)
def test_batches_grow_while_they_gain(device_speed, monkeypatch, rates, fastest, tried):
    def rate(function, n_windows, seconds):
        measured = rates[n_windows.bit_length() - 1]
        if isinstance(measured, Exception):
            raise measured
        return measured

    monkeypatch.setattr(device_speed, "rate", rate)
    sizes = [1, 2, 4, 8][: len(rates)]
    best = device_speed.best_rate(lambda size: (None, size), sizes, seconds=1)
    assert best["batch_size"] == fastest
    assert best["windows_per_second"] == max(best["tried"].values())
    assert list(best["tried"]) == tried
    failed = isinstance(rates[-1], Exception)
    assert best["ended"] == ("MemoryError: too large" if failed else None)


def test_a_first_batch_that_fails_is_an_error(device_speed, monkeypatch):
    with pytest.raises(ZeroDivisionError):
        device_speed.best_rate(lambda size: (lambda: 1 / 0, size), [1, 2], seconds=0)


def figures(training, scoring):
    return {
        "training": {"batch_size": 64, "windows_per_second": training},
        "scoring": {"windows_per_second": scoring},
    }


def test_the_fastest_backend_is_named(device_speed):
    found = device_speed.fastest(
        {
            ("jax", "float32"): {"library": figures(5, 9), "keras": figures(3, 8)},
            ("torch", "float32"): {"keras": figures(4, 10)},
            ("torch", "bfloat16"): {"failed": "out of memory"},
            ("jax", "bfloat16"): {"keras": figures(7, 7)},
        }
    )
    named = {key: (best["backend"], best["by"]) for key, best in found.items()}
    assert named == {
        "training_float32": ("jax", "library"),
        "scoring_float32": ("torch", "keras"),
        "training_bfloat16": ("jax", "keras"),
        "scoring_bfloat16": ("jax", "keras"),
    }


def test_without_a_gpu_it_says_what_to_do(device_speed, monkeypatch, tmp_path):
    monkeypatch.setattr(device_speed, "find_spec", lambda name: name != "tensorflow")
    monkeypatch.setattr(device_speed, "in_a_process", lambda *_: {"no_gpu": True})
    arguments = Namespace(device="gpu", json=tmp_path / "gpu.json")
    with pytest.raises(SystemExit, match=r"by jax, torch\. .*cuda12.* --device cpu"):
        device_speed.main(arguments, {})
    assert not arguments.json.exists()


@pytest.mark.slow
def test_a_processor_is_measured_by_the_same_path(tmp_path):
    path = tmp_path / "cpu.json"
    command = [sys.executable, BENCHMARKS / "speed.py", "--device", "cpu"]
    command += ["--seconds", "0.1", "--most-batches", "1", "--json", path]
    subprocess.run(command, check=True, capture_output=True)
    result = json.loads(path.read_text())
    assert result["device"] == "cpu"
    assert result["cpu"]
    assert result["versions"]["keras"]
    for what in ("training", "scoring"):
        for precision in ("float32", "bfloat16"):
            assert result["fastest"][f"{what}_{precision}"]["windows_per_second"] > 0
    assert {"library", "keras"} <= result["rows"]["jax_float32"].keys()
