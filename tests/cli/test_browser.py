# SPDX-License-Identifier: MIT
"""The report and the live page in Chromium, used as a person does, by Selenium.

At the widths of a desk and a phone, light and dark. `.ci/run --full` installs Debian's
chromium and chromium-driver.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.cli.live import PROGRAM, ask, free_port, running, wait_for
from tests.helpers import wave
from tsanomaly._cli import main

BROWSER, DRIVER = map(shutil.which, ("chromium", "chromedriver"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        BROWSER is None or DRIVER is None,
        reason="chromium or its driver is not installed",
    ),
]

SCREENS = [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")]
NAMES = ["主泵出口压力", "vibration_of_the_bearing_at_the_drive_end_mm_per_s", "flow"]

# Luminance of a colour, and the contrast of texts to what is behind them.
CONTRASTS = """
const light = (text) => {
  const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map((value) => value / 255)
    .map((value) =>
      value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (element) => {
  for (; element; element = element.parentElement) {
    const colour = getComputedStyle(element).backgroundColor;
    if (!/, 0\\)$/.test(colour)) return colour;
  }
  return matchMedia("(prefers-color-scheme: dark)").matches ? "rgb(18, 18, 18)"
    : "rgb(255, 255, 255)";
};
return [...document.querySelectorAll(arguments[0])].filter((element) =>
  element.offsetParent && element.textContent.trim() && !element.disabled
).map((element) => {
  const pair = [light(getComputedStyle(element).color), light(behind(element))].sort();
  const low = Math.min(...pair), high = Math.max(...pair);
  return [(high + 0.05) / (low + 0.05), element.outerHTML.slice(0, 80)];
}).filter(([contrast]) => contrast < 4.5);
"""


@pytest.fixture(params=SCREENS, ids=lambda screen: f"{screen[0]}-{screen[1]}")
def screen(request):
    """A browser of a width and a colour scheme."""
    webdriver = pytest.importorskip("selenium.webdriver")
    width, scheme = request.param
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for option in ("headless=new", "no-sandbox", "disable-gpu", "no-first-run"):
        options.add_argument(f"--{option}")
    options.add_argument("--disable-dev-shm-usage")
    options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
    options.set_capability(
        "goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"}
    )
    service = webdriver.ChromeService(DRIVER)
    driver = webdriver.Chrome(options=options, service=service)
    tell = driver.execute_cdp_cmd
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    tell("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    tell("Emulation.setEmulatedMedia", {"features": features})
    driver.scheme = scheme
    yield driver
    driver.quit()


def all_of(screen, selector):
    return screen.find_elements("css selector", selector)


def one_of(screen, selector):
    return screen.find_element("css selector", selector)


def check_page(screen, address):
    """Nothing sticks out, is hard to read, complains, or comes from elsewhere."""
    script = "return [document.documentElement.scrollWidth, innerWidth]"
    content, window = screen.execute_script(script)
    assert content <= window
    texts = "p, td, th, span, h1, h2, h3, label, button, a, strong, dt, dd"
    assert screen.execute_script(CONTRASTS, texts) == []
    paper = screen.execute_script(
        "return getComputedStyle(document.body).backgroundColor"
    )
    brightness = np.mean([int(part) for part in paper[4:-1].split(",")])
    assert (brightness > 127) == (screen.scheme == "light")
    assert screen.get_log("browser") == []
    messages = [
        json.loads(entry["message"])["message"]
        for entry in screen.get_log("performance")
    ]
    asked = [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
    assert asked
    assert [url for url in asked if not url.startswith((address, "data:"))] == []


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """The port of a watch of four pumps, with an alarm of each that is on."""
    folder = tmp_path_factory.mktemp("watch")
    start = pd.Timestamp("2024-01-01")
    times = pd.date_range(start, periods=600, freq="min", name="time")
    frame = pd.DataFrame(wave(600, 3), index=times, columns=NAMES)
    frame.to_csv(folder / "plant.csv")
    train = ["train", str(folder / "plant.csv"), "--detector", "autoregression"]
    assert main([*train, "--no-plots", "--output-dir", str(folder)]) == 0
    frame.iloc[100:120, 0] += 8
    frame.iloc[570:, 1] += 8
    port = free_port()
    command = [*PROGRAM, "watch", str(folder / "model.skops"), "--by", "pump"]
    command += ["--listen", str(port), "--to", str(folder / "events.jsonl")]
    with running(command):
        for number in range(len(SCREENS)):
            rows = frame.assign(pump=f"泵 {number}").reset_index()
            body = rows.to_json(orient="records", date_format="iso")
            assert ask(port, "POST", "/readings", body)["accepted"] == 600
        yield port


def test_the_live_page_is_used(screen, watched, request):
    name = f"泵 {SCREENS.index(request.node.callspec.params['screen'])}"
    address = f"http://127.0.0.1:{watched}/"
    screen.get(address)
    machine = one_of(screen, "#machine")
    wait_for(lambda: len(all_of(machine, "option")) == len(SCREENS))
    next(o for o in all_of(machine, "option") if o.text == name).click()
    state = one_of(screen, "#state")
    wait_for(lambda: state.text == "alarm")
    assert len(all_of(screen, "svg")) == 1 + len(NAMES)
    # At once: what is drawn is drawn anew with the next readings.
    script = (
        "return [...document.querySelectorAll('#charts .name')].map(e => e.innerText)"
    )
    shown = [text.split("\n")[0] for text in screen.execute_script(script)]
    assert shown[1:4] == NAMES
    check_page(screen, address)

    def alarms():
        told = ask(watched, "GET", "/alarms")
        return [alarm for alarm in told if alarm["machine"] == name]

    number = alarms()[0]["alarm"]
    one_of(screen, f"[aria-label='Acknowledge alarm {number}']").click()
    wait_for(lambda: alarms()[0]["acknowledged"])
    wait_for(lambda: not all_of(screen, f"[aria-label='Acknowledge alarm {number}']"))
    assert not any(alarm["acknowledged"] for alarm in alarms()[1:])
    one_of(screen, "#normal").click()
    screen.switch_to.alert.accept()
    note = one_of(screen, "#note")
    wait_for(lambda: state.text == "normal" or note.text)
    assert note.text == ""
    assert [alarm["state"] for alarm in alarms()] == ["cleared"] * len(alarms())
    assert not one_of(screen, "#normal").is_enabled()
    check_page(screen, address)


def test_a_live_page_without_readings(screen, watched, eager_model):
    port = free_port()
    with running([*PROGRAM, "watch", eager_model, "--listen", str(port)]):
        ask(port, "GET", "/healthz")
        address = f"http://127.0.0.1:{port}/"
        screen.get(address)
        wait_for(lambda: "No readings yet" in one_of(screen, "body").text)
        assert "No alarms so far" in one_of(screen, "body").text
        assert not one_of(screen, "#bar").is_displayed()
        assert not one_of(screen, "#table").is_displayed()
        check_page(screen, address)


def test_the_report_is_used(screen, page, tmp_path):
    file = tmp_path / "report.html"
    file.write_text(page)
    screen.get(file.as_uri())

    def rows():
        shown = all_of(screen, "#alarm-table tbody tr")
        return [int(row.text.split()[0]) for row in shown if row.is_displayed()]

    def state():
        return one_of(screen, "#chart-state").text

    def press(element):
        screen.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    wait_for(lambda: state().startswith("Shown: 2024-01-01 00:00 to"))
    at_first = state()
    assert rows() == [*range(1, 11)]  # by severity
    press(all_of(screen, "#alarm-table [data-show]")[1])
    wait_for(lambda: "Alarm 2: " in state())
    assert state() != at_first
    press(one_of(screen, "[data-key=begin] button"))
    assert sorted(rows()) != rows()
    press(one_of(screen, "#show-all"))
    assert len(rows()) == 11
    by_time = rows()
    press(one_of(screen, "[data-key=begin] button"))
    assert rows() == by_time[::-1]
    ui = pytest.importorskip("selenium.webdriver.support.ui")
    select = ui.Select(one_of(screen, "#filter [name=channel]"))
    select.select_by_visible_text("sensor_4")
    wait_for(lambda: len(rows()) < 11)
    assert len(rows()) > 0
    assert one_of(screen, "#n-shown").text == f"{len(rows())} of 11 alarms shown"
    check_page(screen, Path(file).as_uri())
