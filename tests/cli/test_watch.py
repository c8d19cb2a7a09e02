# SPDX-License-Identifier: MIT
"""The command `watch`: what it prints, saves and survives."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.cli.live import CODE, PROGRAM, RULES, ask, free_port, lines_of, running
from tsanomaly._cli import main

POSIX = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


@pytest.fixture
def model(eager_model):
    """A model that raises alarms."""
    return eager_model


def test_alarms_are_those_of_detect(model, plant, folder, capsys):
    capsys.readouterr()
    assert main(["detect", model, plant, "--no-plots", *RULES]) == 0
    expected = pd.read_csv(folder / "alarms.csv", parse_dates=["start", "end"])
    capsys.readouterr()
    assert main(["watch", model, "--from", plant, *RULES]) == 0
    shown = capsys.readouterr()
    events = lines_of(shown.out)
    raised = [event for event in events if event["type"] == "raised"]
    assert len(raised) == len(expected) > 2
    assert [pd.Timestamp(event["start"]) for event in raised] == [*expected["start"]]
    cleared = [event for event in events if event["type"] == "cleared"]
    expected = expected[: len(cleared)]
    assert [pd.Timestamp(event["end"]) for event in cleared] == [*expected["end"]]
    scores = [event["score"] for event in cleared]
    np.testing.assert_allclose(scores, expected["score"], rtol=1e-5)
    assert f"600 readings; alarms: {len(raised)}" in shown.err


@pytest.mark.parametrize("options", [["--threshold", "0.2"], ["--quantile", "0.8"]])
def test_other_thresholds_are_those_of_detect(options, model, plant, folder, capsys):
    capsys.readouterr()
    assert main(["detect", model, plant, "--json", "--no-plots", *options]) == 0
    expected = json.loads(capsys.readouterr().out)
    output = str(folder / "events.jsonl")
    options = [*options, "--from", plant, "--to", output, "--json"]
    assert main(["watch", model, *options]) == 0
    found = json.loads(capsys.readouterr().out)
    # Rows whose windows are padded are at the threshold at most in a file.
    difference = found["flagged_readings"] - expected["flagged_rows"]
    assert 0 <= difference < 10
    assert 0 < found["flagged_readings"] < 600


def test_the_result_for_programs(model, plant, folder, capsys):
    output = folder / "events.jsonl"
    options = ["--from", plant, "--to", str(output), "--json", *RULES]
    capsys.readouterr()
    assert main(["watch", model, *options]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["readings"] == 600
    raised = [e for e in lines_of(output.read_text()) if e["type"] == "raised"]
    assert result["alarms"] == len(raised)


@pytest.mark.parametrize(("every", "warned"), [(1, 0), (2, 1)])
def test_another_rate_than_in_training(every, warned, model, plant, folder, capsys):
    frame = pd.read_csv(plant)[::every]
    frame.to_csv(folder / "rate.csv", index=False)
    capsys.readouterr()
    assert main(["watch", model, "--from", str(folder / "rate.csv")]) == 0
    said = capsys.readouterr().err
    sentence = "sends a reading every 2 min, and the training rows came every 1 min"
    assert said.count(sentence) == warned


def test_what_is_wrong_with_lines_is_said(model, plant, monkeypatch, capsys):
    lines = Path(plant).read_text().splitlines()[:10]
    receiver, sender = os.pipe()
    with open(sender, "w") as pipe:
        pipe.write("\n".join([*lines, "2030-01-01,1", "x,1,2,3,4,0"]))
    with open(receiver) as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        assert main(["watch", model, "--from", "-"]) == 0
    shown = capsys.readouterr().err
    assert "malformed: The line has 2 fields, but the header has 6" in shown
    assert "is not a time: 'x'" in shown
    assert "9 readings; alarms: 0; rejected: malformed 2" in shown


def test_the_same_warning_is_given_once(model, plant, folder, capsys):
    """And leaves room for others of the same reason, three in all."""
    lines = Path(plant).read_text().splitlines()[:10]
    wrong = ["x,1,2,3,4,0"] * 4 + ["1", "1,2", "1,2,3", "1,2,3,4"]
    (folder / "wrong.csv").write_text("\n".join([*lines, *wrong]) + "\n")
    capsys.readouterr()
    assert main(["watch", model, "--from", str(folder / "wrong.csv")]) == 0
    shown = capsys.readouterr().err
    assert shown.count("is not a time: 'x'") == 1
    assert shown.count("warning: malformed: The line has ") == 2
    assert "rejected: malformed 8" in shown


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "contains no reading. Pass CSV"),
        ("timestamp,other\n2024-01-01,1\n2024-01-02,1\n", "does not name 'sensor_1'"),
        ("[1]\n[2]\n", "rejected: malformed 2. Change what the warnings above name"),
    ],
)
def test_a_file_without_any_reading_is_an_error(text, said, model, folder, capsys):
    Path("wrong.csv").write_text(text)
    capsys.readouterr()
    assert main(["watch", model, "--from", "wrong.csv"]) == 1
    shown = capsys.readouterr()
    assert said in shown.err
    assert "--from wrong.csv" in shown.err
    assert shown.err.count("The first line") <= 1
    assert shown.out == ""


def test_decimal_commas_have_a_cure(model, plant, folder, capsys):
    pd.read_csv(plant).to_csv("comma.csv", sep=";", decimal=",", index=False)
    assert main(["watch", model, "--from", "comma.csv"]) == 1
    shown = capsys.readouterr().err
    assert "has a decimal comma: " in shown
    assert "tsanomaly detect" in shown
    assert "No reading of --from comma.csv was accepted; rejected: malformed 600" in (
        shown
    )


@pytest.mark.parametrize("apart", [False, True])
def test_several_machines_need_a_name(apart, model, plant, folder, capsys):
    readings = pd.read_csv(plant).assign(pump="a")
    both = pd.concat([readings, readings.assign(pump="b")])
    if not apart:
        both = both.sort_values("timestamp", kind="stable")
    both.to_csv("both.csv", index=False)
    capsys.readouterr()
    command = ["watch", model, "--from", "both.csv"]
    assert main(command) == 0
    shown = capsys.readouterr().err
    assert "600 of 1,200 readings were rejected because of their times" in shown
    assert "--by" in shown
    assert main([*command, "--by", "pump"]) == 0
    assert "--by" not in capsys.readouterr().err


def test_repeated_readings_of_a_fleet_need_no_name(plant, folder, capsys):
    readings = pd.read_csv(plant)[:200].drop(columns="anomaly").assign(pump="a")
    fleet = pd.concat([readings, readings.assign(pump="b")])
    fleet.to_csv("fleet.csv", index=False)
    pd.concat([fleet, fleet]).to_csv("twice.csv", index=False)
    train = ["train", "fleet.csv", "--by", "pump", "--detector", "pca", "--no-plots"]
    assert main(train) == 0
    capsys.readouterr()
    fleet_model = str(folder / "model.skops")
    assert main(["watch", fleet_model, "--from", "twice.csv"]) == 0
    shown = capsys.readouterr().err
    assert "400 readings; alarms" in shown
    assert "400" in shown.split("rejected: ")[1]
    assert "--by" not in shown


def test_readings_that_are_known_are_no_error(model, plant, folder, capsys):
    command = ["watch", model, "--from", plant, "--state", "watch.state"]
    capsys.readouterr()
    for place in (plant, plant, "copy.csv"):
        Path("copy.csv").write_bytes(Path(plant).read_bytes())
        command[3] = place
        assert main(command) == 0
        assert "--by" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--from", "-", "--follow"],
        ["--from", "-", "--json"],
        ["--listen", "no port"],
        ["--from", ""],
    ],
)
def test_wrong_usage(options, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["watch", "m.skops", *options])
    assert stop.value.code == 2
    assert "See tsanomaly watch -h" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--listen", "0.0.0.0:0"], "--token-file"),
        (["--from", "nothing.csv"], "There is no file nothing.csv"),
        (["--from", "-", "--max-gap", "long"], "--max-gap long is not a duration"),
        (["--from", "-", "--token-file", "token"], "--token-file token holds no token"),
    ],
)
def test_errors_name_options(options, said, model, capsys):
    Path("token").write_text("short")
    assert main(["watch", model, *options]) == 1
    assert said in capsys.readouterr().err


def test_events_are_not_written_into_files_of_the_watch(model, plant, capsys):
    for place, what in ((model, "the model"), (plant, "the source of the readings")):
        before = Path(place).read_bytes()
        assert main(["watch", model, "--from", plant, "--to", place]) == 1
        assert f"--to {place} is {what}" in capsys.readouterr().err
        assert Path(place).read_bytes() == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_events_that_are_lost_are_warned_of(model, plant, capsys):
    assert main(["watch", model, "--from", plant, "--to", "/dev/full", *RULES]) == 0
    shown = capsys.readouterr().err
    assert shown.count("file /dev/full does not accept events: ") == 1
    assert "did not reach file /dev/full and will not" in shown


@POSIX
@pytest.mark.parametrize(("name", "status"), [("SIGINT", 0), ("SIGTERM", 143)])
def test_a_watch_ends_with_a_summary(name, status, model, plant):
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    command = [sys.executable, "-c", code + CODE, "watch", model, "--from", "-"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    lines = Path(plant).read_text().splitlines()[:10]
    process.stdin.write("\n".join([*lines, "x\n"]))
    process.stdin.flush()
    assert "malformed" in process.stderr.readline()  # it has come so far
    process.send_signal(getattr(signal, name))
    _, shown = process.communicate()
    assert process.returncode == status
    assert shown == "9 readings; alarms: 0; rejected: malformed 1\n"


def in_pieces(plant, log, pause):
    """Have a program write the lines of a file, in pieces."""
    code = (
        "import sys, time\n"
        f"lines = open({plant!r}).readlines()\n"
        f"with open({str(log)!r}, 'a', buffering=1) as file:\n"
        "    for line in lines:\n"
        f"        file.write(line); time.sleep({pause})\n"
    )
    return subprocess.Popen([sys.executable, "-c", code])


def watch_and_kill(model, plant, folder, n_kills, seconds):
    """Events of a watch that is killed at random moments while readings arrive."""
    log, output = folder / "log.csv", folder / "events.jsonl"
    log.touch()
    writer = in_pieces(plant, log, seconds / len(Path(plant).read_bytes().splitlines()))
    command = [*PROGRAM, "watch", model, "--from", str(log), "--to", str(output)]
    command += ["--state", str(folder / "watch.state"), *RULES]
    chance = random.Random(0)
    for _ in range(n_kills):
        process = subprocess.Popen(
            [*command, "--follow"], stderr=subprocess.PIPE, stdout=subprocess.PIPE
        )
        time.sleep(chance.uniform(1.0, 1.0 + 2 * seconds / n_kills))
        process.kill()
        process.communicate()
    assert writer.wait() == 0
    done = subprocess.run([*command, "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return lines_of(output.read_text())


def repeat(plant, n_readings):
    """Lengthen a file of readings, with times that go on."""
    few = pd.read_csv(plant)
    many = pd.concat([few] * -(-n_readings // len(few)))[:n_readings]
    times = pd.date_range("2024-01-01", periods=len(many), freq="min")
    many.assign(timestamp=times).to_csv(plant, index=False)


def check_events(events, model, plant, capsys):
    """They are those of a watch that nothing happens to."""
    assert [event["event"] for event in events] == [*range(1, len(events) + 1)]
    capsys.readouterr()
    assert main(["watch", model, "--from", plant, *RULES]) == 0
    expected = lines_of(capsys.readouterr().out)
    for kind in ("raised", "cleared"):
        found, wanted = (
            [(e["alarm"], e["start"], e["raised"]) for e in some if e["type"] == kind]
            for some in (events, expected)
        )
        assert found == wanted
        assert len(found) > 2


@POSIX
def test_kills_lose_and_repeat_nothing(model, plant, folder, capsys):
    events = watch_and_kill(model, plant, folder, 3, 4)
    check_events(events, model, plant, capsys)


@pytest.mark.slow
@POSIX
def test_many_kills_lose_and_repeat_nothing(model, plant, folder, capsys):
    repeat(plant, 20_000)
    events = watch_and_kill(model, plant, folder, 50, 100)
    check_events(events, model, plant, capsys)


def check_server(model, plant, folder, capsys, n_kills):
    """Readings are sent one after the other to a server that is killed."""
    pytest.importorskip("uvicorn")
    rows = pd.read_csv(plant).drop(columns="anomaly").to_dict("records")
    port, output = free_port(), folder / "events.jsonl"
    command = [*PROGRAM, "watch", model, "--listen", str(port), "--to", str(output)]
    command += ["--state", str(folder / "watch.state"), *RULES]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    processes, chance = [subprocess.Popen(command, **quiet)], random.Random(0)

    def keep_killing():
        for _ in range(n_kills):
            ask(port, "GET", "/healthz")  # it has started
            time.sleep(chance.uniform(0.0, 1.5))
            processes[-1].kill()
            processes[-1].wait()
            processes.append(subprocess.Popen(command, **quiet))

    killer = threading.Thread(target=keep_killing)
    killer.start()
    size = max(len(rows) // (5 * n_kills), 1)
    for start in range(0, len(rows), size):
        body = json.dumps(rows[start : start + size])
        told = ask(port, "POST", "/readings", body)
        # Sent again after a kill, they may be known.
        assert {wrong["reason"] for wrong in told["errors"]} <= {"duplicate"}
        time.sleep(0.2)
    killer.join()
    assert ask(port, "POST", "/readings", body)["accepted"] == 0
    processes[-1].terminate()
    assert processes[-1].wait(20) == 143
    check_events(lines_of(output.read_text()), model, plant, capsys)


@POSIX
def test_a_new_normal_is_kept_by_the_program(folder, plant):
    """Also though the command replaces all files that it writes at its end."""
    pytest.importorskip("uvicorn")
    train = ["train", plant, "--detector", "autoregression", "--no-plots"]
    assert main(train) == 0
    rows = pd.read_csv(plant).drop(columns="anomaly")
    rows.iloc[-60:, 1] += 50 * rows.iloc[:, 1].std()
    port, state = free_port(), folder / "watch.state"
    command = [*PROGRAM, "watch", str(folder / "model.skops"), "--listen", str(port)]
    command += ["--state", str(state), "--to", str(folder / "events.jsonl")]
    errors, before = [], None
    for body in (rows.to_json(orient="records"), None):
        with running(command):
            if body is not None:
                assert ask(port, "POST", "/readings", body)["accepted"] == 600
                (machine,) = ask(port, "GET", "/machines")
                assert machine["alarm"] is not None
                before = machine["error"]
                path = "/machines/machine/accept-new-normal"
                assert ask(port, "POST", path)["readings"] > 10
            (machine,) = ask(port, "GET", "/machines")
            assert machine["alarm"] is None
            time = f"2024-01-01T10:0{len(errors)}:00"
            body = json.dumps(dict(rows.iloc[-1], timestamp=time))
            assert ask(port, "POST", "/readings", body)["accepted"] == 1
            (machine,) = ask(port, "GET", "/machines")
            errors.append(machine["error"])
    # The next process, too, has the detector to which the new level is normal.
    assert max(errors) < 0.7 * before, (errors, before)


@POSIX
def test_a_server_that_is_killed_keeps_what_it_acknowledged(
    model, plant, folder, capsys
):
    check_server(model, plant, folder, capsys, 2)


@pytest.mark.slow
@POSIX
def test_a_server_that_is_killed_often(model, plant, folder, capsys):
    repeat(plant, 20_000)
    check_server(model, plant, folder, capsys, 50)
