# SPDX-License-Identifier: MIT
"""The program as a process: signals, and standard streams that are closed or full."""

import os
import random
import shutil
import signal
import subprocess
import sys

import pandas as pd
import pytest

from tsanomaly._cli import main

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and pipes of POSIX")

# As on a terminal, also where a shell that runs tests in the background has its
# processes ignore the signal.
PROGRAM = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from tsanomaly._cli import main
sys.exit(main())
"""


def run(*arguments, code=PROGRAM):
    """Run the program in a process of its own."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_request_to_end_leaves_what_was_there(name, status, model, plant, folder):
    """It comes while the second file is written."""
    assert main(["detect", model, plant, "--no-plots"]) == 0
    before = {file: file.read_bytes() for file in folder.iterdir()}
    code = f"""
import os, signal, sys
from tsanomaly._cli import main
signal.signal(signal.{name}, signal.SIG_DFL)  # which nohup would have changed
fsync, calls = os.fsync, []
def request(descriptor):
    calls.append(descriptor)
    if len(calls) == 2:
        os.kill(os.getpid(), signal.{name})
    fsync(descriptor)
os.fsync = request
sys.exit(main())
"""
    done = run("detect", model, plant, "--no-plots", "--threshold", "0", code=code)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", "")
    assert {file: file.read_bytes() for file in folder.iterdir()} == before


def test_a_request_that_is_ignored_stays_so(plant):
    """As under ``nohup``; and handlers are those of before, when a command is done."""
    code = """
import os, signal, sys
from tsanomaly._cli import main
signal.signal(signal.SIGHUP, signal.SIG_IGN)
handlers = [signal.getsignal(number) for number in range(1, 16)]
fsync = os.fsync
def request(descriptor):
    os.kill(os.getpid(), signal.SIGHUP)
    fsync(descriptor)
os.fsync = request
assert main() == 0
assert [signal.getsignal(number) for number in range(1, 16)] == handlers
"""
    done = run("explore", plant, "--no-plots", code=code)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "module", ["argparse", "tsanomaly._cli._parser", "numpy", "scipy", "pandas"]
)
def test_ctrl_c_while_modules_are_imported(module, plant):
    """It is sent when Python tells that it has imported one of them."""
    command = [sys.executable, "-X", "importtime", "-c", PROGRAM, "explore", plant]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        shown = []
        for line in process.stderr:
            shown.append(line)
            if line.split("|")[-1].strip() == module:
                process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    finally:
        process.kill()
        process.stderr.close()
    said = [line for line in shown if not line.startswith("import time:")]
    assert said == ["interrupted\n"]


@pytest.mark.slow
def test_ctrl_c_at_any_time(plant):
    """From the moment on at which the program itself begins."""
    rng = random.Random(0)
    code = PROGRAM.replace("sys.exit", "print('started', flush=True); sys.exit")
    for _ in range(100):
        process = subprocess.Popen(
            [sys.executable, "-c", code, "explore", plant],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        process.stdout.readline()
        try:
            process.wait(1.5 * rng.random())
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert (process.returncode, said) in [(130, "interrupted\n"), (0, "")]


def run_without(stream, fault, *arguments):
    """Run the program with a standard stream that is closed, full or unread."""
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: None}
    if fault == "closed":
        number = {"stdout": 1, "stderr": 2}[stream]
        command = ["sh", "-c", f'exec "$@" {number}>&-', "sh", *command]
        done = subprocess.run(command, **streams, text=True)
    elif fault == "full":
        with open("/dev/full", "w") as streams[stream]:
            done = subprocess.run(command, **streams, text=True)
    else:
        ours, streams[stream] = os.pipe()
        os.close(ours)
        done = subprocess.run(command, **streams, text=True)
        os.close(streams[stream])
    return done


FAULTS = ["closed", "unread"] + ["full"] * os.path.exists("/dev/full")


EXPLORE = ["explore", "gap.csv", "--no-plots", "--verbose"]


@pytest.fixture(scope="module")
def gap(results, tmp_path_factory):
    """A folder with readings that have a gap, and what a process says of them."""
    folder = tmp_path_factory.mktemp("gap")
    readings = pd.read_csv(results / "plant.csv")
    pd.concat([readings[:300], readings[310:]]).to_csv(folder / "gap.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return folder, run(*EXPLORE)


@pytest.mark.parametrize("fault", FAULTS)
def test_messages_that_nobody_can_read_are_no_failure(fault, gap, folder):
    original, expected = gap
    assert "warning" in expected.stderr
    shutil.copy(original / "gap.csv", "gap.csv")
    done = run_without("stderr", fault, *EXPLORE)
    assert (done.returncode, done.stdout) == (0, expected.stdout)
    wanted = (original / folder.name / "summary.json").read_bytes()
    assert (folder / "summary.json").read_bytes() == wanted
    failed = run_without("stderr", fault, "explore", "nothing.csv", "-v")
    assert (failed.returncode, failed.stdout) == (1, "")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_result_that_nobody_can_read(fault, plant, folder):
    """The files are written. Only a full disk is a failure, of what should be there."""
    done = run_without("stdout", fault, "explore", plant, "--no-plots")
    status = {"closed": 0, "unread": 141, "full": 1}[fault]
    assert done.returncode == status
    said = "its files are written" in done.stderr.lower() and "space" in done.stderr
    assert said if fault == "full" else done.stderr == ""
    assert done.stderr.count("\n") == (fault == "full")
    assert (folder / "summary.json").is_file()


def test_names_of_files_that_are_no_text(plant, folder):
    """Also where the terminal shows ASCII only."""
    file = os.fsencode("pump ") + b"\xff\xe9 \xe6\x97\xa5.csv"
    os.rename(plant, file)
    code = PROGRAM.replace("main()", "main(['explore', *sys.argv[1:]])")
    command = [sys.executable, "-c", code, file, "--no-plots", "--output-dir", "日本"]
    done = subprocess.run(
        command,
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"\u65e5\u672c/summary.json" in done.stdout
    os.remove(file)
    done = subprocess.run(command, capture_output=True)
    assert done.returncode == 1
    assert rb"pump \udcff\udce9" in done.stderr
