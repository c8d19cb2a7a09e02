# SPDX-License-Identifier: MIT
"""The report as a browser shows it, on a desk and on a phone."""

import html
import json
import re
import shutil
import subprocess
from base64 import b64encode
from hashlib import sha256

import pytest

from tests.cli.conftest import LONG_NAME

BROWSER = next(
    filter(
        None,
        map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome")),
    ),
    None,
)

pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="no Chromium is installed to show the page in"
)

# Is appended to a copy of the page, and leaves there what it finds.
MEASURE = """addEventListener("load", () => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const scrolls = (element) =>
    element && (/auto|scroll/.test(getComputedStyle(element).overflowX)
      || scrolls(element.parentElement));
  const name = (element) => element.outerHTML.slice(0, 60);
  const box = (element) => element.getBoundingClientRect();
  const page = document.documentElement;
  const found = {
    window_width: innerWidth,
    width: page.clientWidth,  // without the scroll bar
    content_width: page.scrollWidth,
    n_images: document.images.length,
    not_shown: all("img").filter((image) => !image.complete || !image.naturalWidth
      || !image.width).map(name),
    distorted: all("img").filter((image) => Math.abs(image.width / image.height
      / (image.naturalWidth / image.naturalHeight) - 1) > 0.02).map(name),
    // What is wide on purpose is in a box that scrolls by itself.
    sticking_out: all("body *").filter((element) => !scrolls(element.parentElement)
      && (box(element).left < 0 || box(element).right > page.clientWidth)).map(name),
    overlapping: all("body > *, section > *").filter((element) =>
      element.previousElementSibling && box(element).height
      && box(element).top < box(element.previousElementSibling).bottom - 1).map(name),
    requests: performance.getEntriesByType("resource").map((entry) => entry.name)
      .filter((address) => !address.startsWith("data:")),
  };
  tell(found);
});"""

TELL = """const tell = (found) => {
  const result = document.createElement("pre");
  result.id = "found";
  result.textContent = JSON.stringify(found);
  parent.document.body.append(result);
};"""

# Looks into a frame, in which no script runs.
LOOK_INTO = """addEventListener("load", () => {
  const { document: page, innerWidth } = frames[0];
  const shown = (selector) => [...page.querySelectorAll(selector)]
    .filter((element) => element.getBoundingClientRect().height > 0).length;
  tell({
    images: shown("img"), sketches: shown("article svg"), charts: shown("canvas"),
    rows: shown("#alarm-table tbody tr"), controls: shown("button, form"),
  });
});"""

# Does what a reader does, one after the other.
USE = """addEventListener("load", () => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const press = (key) => document.getElementById("panels")
    .dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  const look = () => ({
    state: document.getElementById("chart-state").textContent,
    panels: all(".panel-head bdi").map((name) => name.textContent),
    current: all("tr[aria-current]").map((row) => parseInt(row.textContent)),
  });
  const rows = () => all("#alarm-table tbody tr").filter((row) => !row.hidden)
    .map((row) => parseInt(row.textContent));
  const sort = (key) => {
    document.querySelector(`[data-key=${key}] button`).click();
    return rows();
  };
  const choose = (field, value) => {
    const form = document.getElementById("filter");
    form.elements[field].value = value;
    form.dispatchEvent(new Event("input"));
    return rows();
  };
  const mouse = (type, share) => {
    const over = document.querySelector(".u-over");
    const { left, top, width } = over.getBoundingClientRect();
    const clientX = left + share * width, clientY = top + 20;
    over.dispatchEvent(new MouseEvent(type,
      { clientX, clientY, movementX: 1, bubbles: true }));
  };
  // Chromium paints when all is done; uPlot draws in microtasks.
  setTimeout(async () => {
    const settle = () => new Promise((done) => setTimeout(done, 20));
    const found = { at_first: look() };
    found.drawn = all("canvas").map((canvas) => canvas.getContext("2d")
      .getImageData(0, 0, canvas.width, canvas.height).data
      .filter((value, i) => i % 4 === 3 && value).length > 1000);
    all("#alarm-table [data-show]")[1].click();
    await settle();
    found.shown = look();
    for (const [name, key] of [["closer", "+"], ["whole", "Home"], ["next", "n"]]) {
      press(key);
      await settle();
      found[name] = look();
    }
    press("Home");
    await settle();
    mouse("mousemove", 0.5);
    found.read = document.querySelector(".panel-head span").textContent;
    for (const [type, share] of
      [["mousedown", 0.25], ["mousemove", 0.5], ["mouseup", 0.5]]) mouse(type, share);
    await settle();
    found.dragged = look();
    found.rows = rows();
    found.by_time = sort("begin");
    found.last_first = sort("begin");
    sort("channels");
    document.getElementById("show-all").click();
    found.by_channel = all("#alarm-table tbody tr")
      .map((row) => JSON.parse(row.dataset.channels)[0]);
    sort("begin");
    sort("begin");
    found.all = rows();
    found.of_channel = choose("channel", "sensor_4");
    choose("channel", "");
    found.long = choose("duration", 30);
    choose("duration", "");
    found.late = choose("from", "2024-01-01T05:00");
    found.counted = document.getElementById("n-shown").textContent;
    tell(found);
  });
});"""

IN_ORDER = {
    "not_shown": [],
    "distorted": [],
    "sticking_out": [],
    "overlapping": [],
    "requests": [],
}


def with_script(page, script):
    """A copy of a page, which allows for one script more and none besides."""
    script = TELL + script
    digest = b64encode(sha256(script.encode()).digest()).decode()
    page = page.replace("script-src ", f"script-src 'sha256-{digest}' ", 1)
    return page.replace("</html>", f"<script>{script}</script></html>")


def show(text, width, folder):
    """What a browser without a network makes of a page, and what it complains of."""
    if width < 500:  # Chromium's windows are no narrower, its frames are
        text = (
            f'<body style="margin: 0"><iframe style="width: {width}px; height: 900px; '
            f'border: 0" srcdoc="{html.escape(text)}"></iframe>'
        )
    file = folder / "page.html"
    file.write_text(text)
    done = subprocess.run(
        [
            BROWSER,
            "--headless",
            "--no-sandbox",  # which a container does not allow for
            "--disable-gpu",
            "--no-first-run",
            f"--user-data-dir={folder / 'profile'}",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--window-size={max(width, 500)},900",
            "--virtual-time-budget=10000",
            "--enable-logging=stderr",
            "--dump-dom",
            file.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found = re.search('<pre id="found">({.*?})</pre>', done.stdout, re.DOTALL)
    assert found, done.stdout[-1000:] + done.stderr[-1000:]
    complaints = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    return json.loads(html.unescape(found[1])) | {"complaints": complaints}


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_in_a_browser(width, page, tmp_path):
    found = show(with_script(page, MEASURE), width, tmp_path)
    assert found["window_width"] == width
    assert found["content_width"] == found["width"]
    # Those that the charts replace are for browsers without scripts.
    assert found["n_images"] == page.count("<img ") - 2 == 8
    assert found["complaints"] == []
    assert {key: found[key] for key in IN_ORDER} == IN_ORDER


def test_measuring_sees_a_broken_page(page, tmp_path):
    """None of the checks passes whatever the page looks like."""
    before, end, broken = page.partition("</noscript>")
    broken = broken.replace("data:image/webp;base64,", "data:image/webp;base64,AAAA", 1)
    broken = before + end + broken.replace("<img ", '<img style="height: 900px" ', 2)
    broken = broken.replace(
        "</body>",
        '<p style="width: 2000px">wide</p><p style="margin-top: -99px">above it</p>'
        '<img src="http://example.com/x.png"></body>',
    )
    broken = re.sub("<meta http-equiv.*?>", "", broken)
    broken = broken.replace("</h1>", "</h1><script>nothing()</script>")
    found = show(with_script(broken, MEASURE), 1280, tmp_path)
    assert found["content_width"] > found["width"]
    assert len(found["not_shown"]) == 2
    assert len(found["distorted"]) == 1
    assert [name[:3] for name in found["sticking_out"]] == ["<p "]
    assert ["above it" in name for name in found["overlapping"]] == [True]
    assert ["nothing is not defined" in text for text in found["complaints"]] == [True]
    assert found["requests"] == ["http://example.com/x.png"]


def test_the_page_without_scripts(page, tmp_path):
    """As a mail program or a locked browser shows it: the main pictures are there."""
    frame = (
        f'<iframe sandbox="allow-same-origin" srcdoc="{html.escape(page)}"></iframe>'
    )
    around = f"<body>{frame}<script>{TELL}{LOOK_INTO}</script>"
    found = show(around, 1280, tmp_path)
    assert found["images"] == page.count("<img ")
    assert found["sketches"] == 3
    assert found["rows"] == page.count("<tr data-begin=")
    assert found["controls"] == found["charts"] == 0


def test_charts_and_table_are_used(page, tmp_path):
    found = show(with_script(page, USE), 1280, tmp_path)
    assert found["complaints"] == []
    assert found["drawn"] == [True] * 5  # the score and four channels
    assert found["at_first"]["state"] == (
        "Shown: 2024-01-01 00:00 to 2024-01-01 09:59."
    )
    assert found["at_first"]["current"] == []
    # An alarm, as long before and after it, and the channels that it comes from.
    assert found["shown"]["state"].startswith(
        "Shown: 2024-01-01 01:53 to 2024-01-01 04:17. Alarm 2: 2024-01-01 02:53 to "
    )
    assert found["shown"]["panels"][1:] == [LONG_NAME, "sensor_3", "sensor_4"]
    assert found["shown"]["current"] == [2]
    assert "02:29 to 2024-01-01 03:41" in found["closer"]["state"]
    assert found["whole"]["state"] == found["at_first"]["state"]
    assert found["whole"]["current"] == []
    assert found["next"]["current"] == found["by_time"][:1]
    assert re.fullmatch(r"2024-01-01 04:59: 0\.\d+, threshold 0\.\d+", found["read"])
    assert "02:30 to 2024-01-01 04:59" in found["dragged"]["state"]
    # The most severe first, and not all of them.
    assert found["rows"] == list(range(1, 11))
    assert set(found["by_time"]) | set(found["last_first"]) == set(range(1, 12))
    assert found["last_first"][-9:] == found["by_time"][1:][::-1]
    assert found["by_channel"] == sorted(found["by_channel"])
    assert found["all"][:10] == found["last_first"]
    assert len(found["all"]) == 11
    assert set(found["of_channel"]) < set(found["all"])
    assert found["long"] == []
    assert found["late"] == found["all"][:5]
    assert found["counted"] == "5 of 11 alarms shown"
