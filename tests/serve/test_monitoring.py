# SPDX-License-Identifier: MIT
"""The files in examples/monitoring are consistent, and use existing metrics."""

import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.serve.conftest import as_readings, plant
from tsanomaly._cli._parser import parse
from tsanomaly._serve._metrics import metrics
from tsanomaly._serve._readings import Rejected
from tsanomaly._serve._watch import Watch

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "monitoring"
GRAFANA = FOLDER / "grafana"


def load(path):
    return yaml.safe_load((FOLDER / path).read_text())


@pytest.fixture(scope="module")
def dashboard():
    return json.loads((GRAFANA / "dashboards" / "tsanomaly.json").read_text())


@pytest.fixture(scope="module")
def labels(detector):
    """Labels of all metrics of a watch that has seen everything, by name."""
    watch = Watch(detector, by="pump", clock=lambda: 1.8e9)
    frame = plant()
    frame.iloc[-1, 0] = float("nan")
    watch.take([*as_readings(frame[:-1], "1"), Rejected("malformed", "?")])
    text = metrics(watch, 0, {200: 1})
    watch.close()
    found = {}
    for name, inside in re.findall(r"^(\w+)(?:\{(.*)\})? \S+$", text, re.MULTILINE):
        found.setdefault(name, set()).update(re.findall(r'(\w+)="', inside))
    return found


def test_the_dashboard_shows_metrics_that_exist(dashboard, labels):
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(numbers) == len(set(numbers))
    shown = set()
    for panel in dashboard["panels"]:
        assert panel["targets"]
        for target in panel["targets"]:
            (name,) = re.findall(r"tsanomaly_\w+", target["expr"])
            assert name in labels, name
            used = re.findall(r"(\w+)=~", target["expr"])
            used += re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
            assert set(used) <= labels[name], target
            shown.add(name)
    (machine,) = dashboard["templating"]["list"]
    name, label = re.fullmatch(
        r"label_values\((\w+), (\w+)\)", machine["query"]
    ).groups()
    assert label in labels[name]
    # What is not shown is of the server itself, or counted by machine already.
    assert labels.keys() - shown == {
        "tsanomaly_flagged_total",
        "tsanomaly_reordered_total",
        "tsanomaly_events_total",
        "tsanomaly_waiting",
        "tsanomaly_answers_total",
    }


def test_panels_do_not_overlap(dashboard):
    taken = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_the_dashboard_is_provided_with_its_source(dashboard):
    (source,) = load("grafana/provisioning/datasources/prometheus.yaml")["datasources"]
    asked = [panel["datasource"] for panel in dashboard["panels"]]
    asked += [item["datasource"] for item in dashboard["templating"]["list"]]
    wanted = {"type": source["type"], "uid": source["uid"]}
    assert all(item == wanted for item in asked)
    services = load("compose.yaml")["services"]
    assert source["url"].startswith("http://prometheus:")
    (provider,) = load("grafana/provisioning/dashboards/tsanomaly.yaml")["providers"]
    mounts = dict(
        mount.removesuffix(":ro").split(":") for mount in services["grafana"]["volumes"]
    )
    assert mounts["./grafana/dashboards"] == provider["options"]["path"]
    assert mounts["./grafana/provisioning"] == "/etc/grafana/provisioning"


def test_the_containers_run_a_command_that_exists():
    compose = load("compose.yaml")
    watch = compose["services"]["watch"]
    call = parse(shlex.split(watch["command"]))
    assert call.command == "watch"
    keywords = call.keywords
    mounts = dict(mount.split(":")[:2] for mount in watch["volumes"])
    inside = {"./" + Path(place).name: place for place in mounts.values()}
    for name in ("model", "token_file"):
        path = str(keywords[name])
        assert inside["./" + Path(path).name] == path
    (volume,) = compose["volumes"]
    for path in (keywords["state"], *map(Path, keywords["outputs"])):
        assert str(path.parent) == mounts[volume]
    # Only this machine reaches the published ports.
    port = keywords["listen"][1]
    assert watch["ports"] == [f"127.0.0.1:{port}:{port}"]
    for service in compose["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            missing = {"./model.skops", "./token.txt"}  # the user's own
            assert source in missing | {volume} or (FOLDER / source).exists()
    (job,) = load("prometheus.yml")["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"watch:{port}"]}]
    build = watch["build"]
    assert (FOLDER / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]).is_file()


def test_the_image_holds_what_watch_needs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    steps = (FOLDER / "Dockerfile").read_text().splitlines()
    words = {step.split()[0] for step in steps}
    assert words == {"FROM", "COPY", "RUN", "USER", "ENTRYPOINT"}
    version = re.match(r"FROM python:(\d+)\.(\d+)-slim", steps[0])
    lowest = re.search(r">=(\d+)\.(\d+)", project["requires-python"])
    assert tuple(map(int, version.groups())) >= tuple(map(int, lowest.groups()))
    (extras,) = re.findall(r'pip install .*"/src\[(.*)\]"', "\n".join(steps))
    assert set(extras.split(",")) == {"serve", "mqtt"}
    assert set(extras.split(",")) <= project["optional-dependencies"].keys()
    (entry,) = [step for step in steps if step.startswith("ENTRYPOINT")]
    assert json.loads(entry.removeprefix("ENTRYPOINT "))[0] in project["scripts"]
    # It does not run as root, and may write to where the volume is.
    user = next(step.split()[1] for step in steps if step.startswith("USER"))
    assert f"chown {user} /state" in "\n".join(steps)
