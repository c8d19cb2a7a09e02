# SPDX-License-Identifier: MIT
"""`tsanomaly watch` over HTTP: readings per second, time to an answer, and memory.

    python benchmarks/live.py --minutes 5 --output live.json

The script trains the default model of `tsanomaly train`, starts a watch with a state
file, and sends it readings of 8 channels at a steady pace from this process, on the
same machine. Bar: 2,000 readings per second for 5 minutes on two cores, with constant
memory. Load averages and the processor time of the watch show how busy the machine was.
"""

import argparse
import http.client
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from tsanomaly.datasets import make_sensor_data

_PROGRAM = [sys.executable, "-m", "tsanomaly"]


def memory(process):
    """Megabytes that a process holds."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1e3


def seconds_used(process):
    """Seconds of processors that a process has used."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Sender:
    """Sends batches of readings, whose times are a steady series."""

    def __init__(self, port, frame, n_machines, rate):
        self._port = port
        self._records = frame.to_dict("records")
        self._n_machines, self._rate = n_machines, rate
        self._connection = None
        self._start = pd.Timestamp.now("UTC").value / 1e9 - 3600
        self.n_sent = self.n_refused = 0
        self.answers = []  # seconds, one for each batch

    def send(self, n):
        """Send so many readings, again until they are taken."""
        rows = []
        for number in range(self.n_sent, self.n_sent + n):
            turn, machine = divmod(number, self._n_machines)
            row = self._records[turn % len(self._records)]
            moment = self._start + turn * self._n_machines / self._rate
            rows.append({"time": moment, "pump": f"pump {machine}", **row})
        body = json.dumps(rows)
        start = time.perf_counter()
        while (status := self._post(body)) != 200:
            self.n_refused += status == 429
            time.sleep(0.05)
        self.answers.append(time.perf_counter() - start)
        self.n_sent += n

    def _post(self, body):
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection("127.0.0.1", self._port)
            self._connection.request("POST", "/readings", body)
            answer = self._connection.getresponse()
            told = json.loads(answer.read())
        except (OSError, http.client.HTTPException):
            self._connection = None  # it has not started yet
            return None
        if answer.status == 200 and told["rejected"]:
            raise RuntimeError(told["errors"][:3])
        return answer.status


def run(port, process, frame, arguments):
    """Send readings, and return the measurements."""
    sender = Sender(port, frame, arguments.machines, arguments.rate)
    size = arguments.batch
    for _ in range(5):  # until it is compiled
        sender.send(size)
    warm, sender.answers = sender.n_sent, []
    duration = 60 * arguments.minutes
    start, used = time.monotonic(), seconds_used(process)
    sizes, loads = [], []
    for number in range(round(duration * arguments.rate / size)):
        pause = start + number * size / arguments.rate - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        if time.monotonic() - start >= len(sizes) * duration / 10:
            sizes.append(round(memory(process), 1))
            loads.append(round(os.getloadavg()[0], 2))
        if time.monotonic() - start > 1.2 * duration:
            break  # it cannot follow
        sender.send(size)
    wall = time.monotonic() - start
    n_sent = sender.n_sent - warm
    sizes.append(round(memory(process), 1))
    answers = 1e3 * np.percentile(sender.answers, [50, 99, 100])
    return {
        "readings": n_sent,
        "seconds": round(wall, 1),
        "readings_per_second": round(n_sent / wall),
        "asked_per_second": arguments.rate,
        "machines": arguments.machines,
        "batch": size,
        "answers_429": sender.n_refused,
        "answer_ms_50_99_100": answers.round(1).tolist(),
        "memory_mb": sizes,
        "memory_mb_start_middle_end": [sizes[0], sizes[len(sizes) // 2], sizes[-1]],
        "cores_used": round((seconds_used(process) - used) / wall, 3),
        "cpu_ms_per_1000_readings": round(
            1e6 * (seconds_used(process) - used) / n_sent, 1
        ),
        "load_averages": loads,
        "cores": os.cpu_count(),
        "processor": platform.processor() or platform.machine(),
    }


def main():
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--rate", type=int, default=2_000, help="readings a second")
    parser.add_argument("--batch", type=int, default=200, help="readings a request")
    parser.add_argument("--machines", type=int, default=1)
    parser.add_argument("--rows", type=int, default=5_000, help="to train on")
    parser.add_argument("--detector", default="lstm")
    parser.add_argument("--model", type=Path, help="do not train; of the same channels")
    parser.add_argument("--output", type=Path, help="file of JSON")
    arguments = parser.parse_args()
    frame = make_sensor_data(
        2 * arguments.rows, n_sensors=8, contamination=0.001, random_state=0
    ).frame
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        model = arguments.model
        if model is None:
            train = frame[: arguments.rows]
            train.to_csv(folder / "plant.csv", index_label="time")
            command = ["train", str(folder / "plant.csv"), "--no-plots"]
            command += ["--detector", arguments.detector]
            command += ["--output-dir", str(folder)]
            subprocess.run([*_PROGRAM, *command], check=True, stdout=sys.stderr)
            model = folder / "model.skops"
        command = [*_PROGRAM, "watch", str(model), "--by", "pump"]
        command += ["--listen", str(port), "--state", str(folder / "watch.state")]
        command += ["--to", str(folder / "events.jsonl")]
        process = subprocess.Popen(command)
        try:
            found = run(port, process, frame[arguments.rows :], arguments)
            found["detector"] = arguments.detector
            found["state_mb"] = (folder / "watch.state").stat().st_size / 1e6
            found["events"] = len((folder / "events.jsonl").read_text().splitlines())
        finally:
            process.terminate()
            process.wait()
    text = json.dumps(found, indent=2)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
