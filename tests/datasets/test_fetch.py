# SPDX-License-Identifier: MIT
import hashlib
import json
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.datasets.test_loaders import write_skab, write_smd
from tests.helpers import SHARED_DATA, needs_shared_data, run_python
from tsanomaly.datasets import (
    _fetch,
    fetch_nab,
    fetch_skab,
    fetch_smd,
    load_nab,
    load_skab,
    load_smd,
)
from tsanomaly.datasets._packaged import DATA

NAB = "realAWSCloudwatch/ec2_cpu_utilization_24ae8d"
FILE = f"nab/data/{NAB}.csv"


class Source:
    """What a server holds, and how it behaves.

    Attributes
    ----------
    files : dict of str to bytes
        By path.
    faults : list of str
        What goes wrong with the next requests, in turn; the last one stays.
    requests : list of str
        Paths asked for.
    url : str
        Address of the server.
    released : threading.Event
        Ends the wait of requests that hang.
    """

    def __init__(self):
        self.files = {}
        self.faults = []
        self.requests = []
        self.released = threading.Event()

    def next_fault(self):
        return self.faults.pop(0) if len(self.faults) > 1 else "".join(self.faults)

    def answer(self, handler):
        path = handler.path.lstrip("/")
        self.requests.append(path)
        fault = self.next_fault()
        body = self.files.get(path, b"")
        status = int(fault) if fault.isdecimal() else 200
        length = len(body)
        if fault == "hang":
            self.released.wait(30)
            return
        if fault == "wrong":
            body = b"x" * length
        if fault in ("truncated", "short", "stalls"):
            body = body[: length // 2]
        if fault == "short":
            length = len(body)
        handler.send_response(status if path in self.files else 404)
        handler.send_header("Content-Length", str(length))
        handler.end_headers()
        handler.wfile.write(body)
        if fault == "stalls":
            handler.wfile.flush()
            self.released.wait(30)


@pytest.fixture
def source(monkeypatch):
    """A server on this machine in the place of the real ones, which serves NAB."""
    source = Source()
    source.files[FILE] = (DATA / FILE).read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            source.answer(self)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    source.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    urls = {name: f"{source.url}/{name}" for name in ("nab", "skab", "smd")}
    monkeypatch.setattr(_fetch, "_BASE_URLS", urls)
    monkeypatch.setattr(_fetch, "_BACKOFF", 0)
    yield source
    source.released.set()
    server.shutdown()
    server.server_close()
    thread.join()


def files_in(folder):
    return sorted(
        file.relative_to(folder).as_posix()
        for file in Path(folder).rglob("*")
        if file.is_file() or file.name.startswith(".download-")
    )


def serve(source, monkeypatch, dataset, folder):
    """Serve the files of a folder, with checksums that go with them."""
    checksums = {}
    for path in files_in(folder):
        content = (folder / path).read_bytes()
        source.files[f"{dataset}/{path}"] = content
        checksums[path] = hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(_fetch, "_checksums", lambda: {dataset: checksums})


def assert_same(fetched, loaded):
    pd.testing.assert_frame_equal(fetched.frame, loaded.frame)
    pd.testing.assert_frame_equal(fetched.events, loaded.events)
    np.testing.assert_array_equal(fetched.target, loaded.target)
    np.testing.assert_array_equal(fetched.train_mask, loaded.train_mask)


def test_nab(source, tmp_path, capfd):
    assert_same(fetch_nab(data_home=tmp_path), load_nab())
    assert files_in(tmp_path) == [FILE]
    assert source.requests == [FILE]
    # what is there is not asked for again, and serves without a network
    assert_same(fetch_nab(NAB, data_home=str(tmp_path)), load_nab())
    fetch_nab(NAB, data_home=tmp_path, download_if_missing=False)
    assert len(source.requests) == 1
    assert capfd.readouterr() == ("", "")


def test_skab(source, tmp_path, monkeypatch):
    write_skab(tmp_path / "there", "valve1/0")
    write_skab(tmp_path / "there", "anomaly-free/anomaly-free", labels=False)
    serve(source, monkeypatch, "skab", tmp_path / "there")
    home = tmp_path / "here"
    loaded = load_skab("valve1/0", path=tmp_path / "there")
    assert_same(fetch_skab(data_home=home), loaded)
    assert fetch_skab("anomaly-free", data_home=home).target is None
    assert files_in(home / "skab") == files_in(tmp_path / "there")
    # a folder that looks like the source's does not get in the way
    (home / "skab" / "data").mkdir()
    assert_same(fetch_skab(data_home=home), loaded)


def test_smd(source, tmp_path, monkeypatch, rng):
    there = tmp_path / "there"
    values = rng.random((20, 3))
    write_smd(there, values, values, [0] * 18 + [1] * 2, "18-20:2", "machine-2-1")
    serve(source, monkeypatch, "smd", there)
    home = tmp_path / "here"
    loaded = load_smd("machine-2-1", path=there)
    assert_same(fetch_smd(data_home=home), loaded)
    assert files_in(home / "smd") == files_in(there)
    assert len(source.requests) == 4


def test_what_arrived_is_kept_when_a_later_file_fails(
    source, tmp_path, monkeypatch, rng
):
    there = tmp_path / "there"
    values = rng.random((5, 3))
    write_smd(there, values, values, [0] * 5, "", "machine-2-1")
    serve(source, monkeypatch, "smd", there)
    source.faults = ["", "", "404"]
    home = tmp_path / "here"
    with pytest.raises(OSError, match=r"test_label/machine-2-1.txt could not be"):
        fetch_smd(data_home=home)
    kept = ["smd/test/machine-2-1.txt", "smd/train/machine-2-1.txt"]
    assert files_in(home) == kept
    source.faults = []
    source.requests.clear()
    fetch_smd(data_home=home)
    assert len(source.requests) == 2


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("truncated", "IncompleteRead|wrong SHA-256"),
        ("short", r"\d+ bytes .* wrong SHA-256"),
        ("wrong", r"wrong SHA-256 .*\w{64} .*\w{64}"),
        ("500", "500 Internal Server Error"),
        ("429", "429 Too Many Requests"),
        ("408", "408 Request Timeout"),
        ("hang", "in time"),
        ("stalls", "in time"),
    ],
)
def test_faults_that_may_pass(source, tmp_path, fault, message):
    options = {"data_home": tmp_path, "n_retries": 1, "timeout": 0.3}
    source.faults = [fault]
    with pytest.raises(OSError, match=message) as raised:
        fetch_nab(**options)
    text = str(raised.value)
    assert f"{source.url}/{FILE} could not be downloaded in 2 attempt(s)" in text
    assert "Try again later" in text
    assert "by hand from https://github.com/numenta/NAB" in text
    assert "load_nab(name, path=)" in text
    assert raised.value.__cause__ is not None
    assert files_in(tmp_path) == []
    # a fault that passes is not noticed
    source.faults = [fault, ""]
    assert_same(fetch_nab(**options), load_nab())
    assert files_in(tmp_path) == [FILE]


@pytest.mark.parametrize("fault", ["404", "403"])
def test_refusals_are_not_tried_again(source, tmp_path, fault):
    source.faults = [fault]
    with pytest.raises(OSError, match=rf"in 1 attempt.*answered {fault}") as raised:
        fetch_nab(data_home=tmp_path)
    assert "later" not in str(raised.value)
    assert "The data set can be downloaded by hand" in str(raised.value)
    assert files_in(tmp_path) == []
    assert len(source.requests) == 1


def test_default_retries(source, tmp_path):
    source.faults = ["500", "short", "wrong", ""]
    fetch_nab(data_home=tmp_path)
    assert len(source.requests) == 4


def test_pauses_grow(source, tmp_path, monkeypatch):
    pauses = []
    monkeypatch.setattr(_fetch, "_BACKOFF", 1.5)
    monkeypatch.setattr(_fetch.time, "sleep", pauses.append)
    source.faults = ["500", "408", "429", ""]
    fetch_nab(data_home=tmp_path)
    assert pauses == [1.5, 3, 6]


def test_no_connection(tmp_path, monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # taken, but nobody listens
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        monkeypatch.setattr(_fetch, "_BASE_URLS", {"nab": url})
        with pytest.raises(OSError, match="no connection"):
            fetch_nab(data_home=tmp_path, n_retries=0)
    assert files_in(tmp_path) == []


def test_an_interruption_leaves_nothing(source, tmp_path, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("pooch.file_hash", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fetch_nab(data_home=tmp_path)
    assert files_in(tmp_path) == []
    assert_same(fetch_nab(data_home=tmp_path), load_nab())


@pytest.mark.parametrize(
    ("step", "error"),
    [
        ("pooch.HTTPDownloader.__call__", OSError(28, "No space left on device")),
        ("pathlib.Path.mkdir", PermissionError(13, "Permission denied")),
    ],
)
def test_a_cache_that_cannot_be_written(source, tmp_path, monkeypatch, step, error):
    def fail(*args, **kwargs):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(step, fail)
        with pytest.raises(
            type(error), match=f"cannot be written: {error.strerror}.*data_home="
        ):
            fetch_nab(data_home=tmp_path)
    assert files_in(tmp_path) == []
    assert len(source.requests) == 0


def test_a_damaged_file_is_replaced(source, tmp_path):
    fetch_nab(data_home=tmp_path)
    for damage in (b"", (DATA / FILE).read_bytes()[:-1]):
        (tmp_path / FILE).write_bytes(damage)
        with pytest.raises(OSError, match="download_if_missing=False"):
            fetch_nab(data_home=tmp_path, download_if_missing=False)
        # which stays as it is when the download fails
        source.faults = ["404"]
        with pytest.raises(OSError, match="404"):
            fetch_nab(data_home=tmp_path)
        assert (tmp_path / FILE).read_bytes() == damage
        source.faults = []
        assert_same(fetch_nab(data_home=tmp_path), load_nab())
    assert len(source.requests) == 5


def test_several_at_once(source, tmp_path):
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(fetch_nab, data_home=tmp_path) for _ in range(4)]
        for job in jobs:
            assert_same(job.result(), load_nab())
    assert files_in(tmp_path) == [FILE]


def test_download_if_missing(source, tmp_path):
    with pytest.raises(OSError, match="download_if_missing=False"):
        fetch_nab(data_home=tmp_path / "new", download_if_missing=False)
    assert source.requests == []
    assert not (tmp_path / "new").exists()


def test_default_home(source, tmp_path, monkeypatch):
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / project)
    fetch_nab()
    assert files_in(tmp_path) == [f"tsanomaly/{FILE}"]


def test_progress(source, tmp_path, capfd):
    fetch_nab(data_home=tmp_path, progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "100%" in err


@pytest.mark.parametrize(
    ("fetch", "known"),
    [(fetch_nab, NAB), (fetch_skab, "valve1/0"), (fetch_smd, "machine-1-6")],
)
def test_a_name_without_checksums(fetch, known, tmp_path):
    with pytest.raises(ValueError, match=rf"{known}.*by hand from https.*load_"):
        fetch("nothing", data_home=tmp_path)
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("option", [{"n_retries": -1}, {"timeout": 0}])
def test_wrong_options(tmp_path, option):
    with pytest.raises(ValueError, match="{}={}".format(*next(iter(option.items())))):
        fetch_nab(data_home=tmp_path, **option)


@pytest.mark.parametrize("package", ["pooch", "tqdm"])
def test_missing_packages(tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        ImportError, match=rf"requires {package}.*pip install {package}"
    ):
        fetch_nab(data_home=tmp_path, progress=True)


def test_import_stays_light():
    code = """
import sys
import tsanomaly.datasets
print(sorted({"pooch", "requests", "tqdm"} & set(sys.modules)))
"""
    assert run_python(code) == "[]"


def test_every_series_that_can_be_fetched_has_all_its_files():
    checksums = json.loads((DATA / "checksums.json").read_text())
    assert {name: len(files) for name, files in checksums.items()} == {
        "nab": 17,
        "skab": 17,
        "smd": 12,
    }
    windows = json.loads(
        (DATA / "nab" / "labels" / "combined_windows.json").read_text()
    )
    assert {f"data/{name}" for name in windows} == set(checksums["nab"])
    for file in (DATA / "nab" / "data").rglob("*.csv"):
        path = file.relative_to(DATA / "nab").as_posix()
        assert checksums["nab"][path] == hashlib.sha256(file.read_bytes()).hexdigest()


@needs_shared_data
def test_checksums_are_those_of_the_source(tmp_path):
    checksums = json.loads((DATA / "checksums.json").read_text())
    for name in ("machine-1-6", "machine-1-7", "machine-2-1"):
        data = load_smd(name, path=SHARED_DATA / "smd")
        parts = [data.frame[mask] for mask in (data.train_mask, ~data.train_mask)]
        causes = SHARED_DATA / "smd" / "interpretation_label" / f"{name}.txt"
        labels = data.target[~data.train_mask]
        # write_smd writes text as the source does
        write_smd(
            tmp_path / "smd",
            *(part.to_numpy() for part in parts),
            labels,
            causes.read_text(),
            name,
        )
    roots = {"nab": SHARED_DATA, "skab": SHARED_DATA, "smd": tmp_path}
    for dataset, files in checksums.items():
        for path, checksum in files.items():
            content = (roots[dataset] / dataset / path).read_bytes()
            assert hashlib.sha256(content).hexdigest() == checksum, path
