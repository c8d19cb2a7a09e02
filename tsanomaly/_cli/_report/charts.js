"use strict";
// Charts of the score and of channels, one below the other, on one axis of time.
(() => {
  const data = JSON.parse(document.getElementById("chart-data").textContent);
  const area = document.getElementById("panels");
  const state = document.getElementById("chart-state");

  // --- numbers from text
  function decode(text, Kind) {
    const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
    return new Kind(bytes.buffer);
  }
  function unpack({ data: text, offset, scale }) {
    const numbers = Array.from(decode(text, Float32Array));
    return numbers.map((x) => (Number.isNaN(x) ? null : offset + scale * x));
  }
  const times = Array.from(decode(data.times, Float64Array));
  const kinds = decode(data.kinds, Uint8Array); // 0: a row; 1, 2: lowest, highest
  const score = unpack(data.score);
  const lines = new Map();
  function line(channel) { // readings, and what was expected or usual
    if (!lines.has(channel)) {
      const { values, expected, usual } = data.channels[channel];
      const readings = unpack(values);
      let other = readings.map((x) => (x === null ? null : usual));
      if (expected) {
        const known = unpack(expected);
        let next = 0;
        other = readings.map((_, i) => (kinds[i] ? null : known[next++]));
      }
      lines.set(channel, [readings, other]);
    }
    return lines.get(channel);
  }

  // --- texts
  function isolated(name) { // from the direction of the text around it
    const element = document.createElement("bdi");
    element.textContent = name;
    return element;
  }
  const two = (number) => String(number).padStart(2, "0");
  const day = (t) => new Date(t * 1000).toISOString().slice(0, 10);
  function clock(t, step) {
    const date = new Date(t * 1000);
    const minutes = `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}`;
    if (step >= 60) return minutes;
    const seconds = `${minutes}:${two(date.getUTCSeconds())}`;
    return step >= 1
      ? seconds : `${seconds}.${String(date.getUTCMilliseconds()).padStart(3, "0")}`;
  }
  const moment = (t) =>
    data.isTime ? `${day(t)} ${clock(t, t % 1 ? 0.1 : t % 60 ? 1 : 60)}` : `row ${Math.round(t)}`;
  function brief(x, digits = 5) {
    if (x === null || x === undefined) return "";
    const size = Math.abs(x);
    return size && (size >= 1e6 || size < 1e-3)
      ? x.toExponential(1) : String(Number(x.toPrecision(digits)));
  }
  const exact = (x) => (x === null ? "none" : String(Number(x.toPrecision(6))));
  function ticks(u, splits, axis, space, step) {
    if (!data.isTime) return splits.map(String);
    let last = null;
    return splits.map((t) => {
      const date = day(t);
      const text = step >= 86400 ? date : clock(t, step) + (date === last ? "" : `\n${date}`);
      last = date;
      return text;
    });
  }
  function readAt(values, i) {
    if (!kinds[i]) return exact(values[i]);
    const first = kinds[i] === 1 ? i : i - 1;
    return `${exact(values[first])} to ${exact(values[first + 1])}`;
  }

  // --- colours, which follow the page to the dark and onto paper
  const colour = (name) =>
    getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  // --- what is seen: from, to
  const first = times[0];
  const last = times[times.length - 1] > first ? times[times.length - 1] : first + 1;
  let view = [first, last];
  let charts = [];
  let chosen = new Set(data.first);
  let current = null;

  function look(from, to) {
    const width = Math.min(Math.max(to - from, (last - first) / 1e5), last - first);
    const start = Math.min(Math.max((from + to - width) / 2, first), last - width);
    view = [start, start + width];
    for (const u of charts) u.setScale("x", { min: view[0], max: view[1] });
    const unit = width > 3600 ? 60 : width > 60 ? 1 : 1e-3;
    const ends = view.map((t) => moment(data.isTime ? Math.round(t / unit) * unit : t));
    state.textContent = `Shown: ${ends.join(" to ")}.`;
    if (current === null) return;
    const [before, name, after] = data.alarms[current].sentence;
    state.append(` Alarm ${current + 1}: ${before}`, isolated(name), after);
  }
  function zoom(factor, at = (view[0] + view[1]) / 2) {
    look(at + (view[0] - at) * factor, at + (view[1] - at) * factor);
  }
  function pan(share) {
    const by = share * (view[1] - view[0]);
    const kept = Math.min(Math.max(by, first - view[0]), last - view[1]);
    look(view[0] + kept, view[1] + kept);
  }
  const inTime = data.alarms.map((_, i) => i)
    .sort((a, b) => data.alarms[a].begin - data.alarms[b].begin);
  function step(by) {
    if (!inTime.length) return;
    const now = inTime.indexOf(current);
    const next = now < 0 ? (by > 0 ? 0 : inTime.length - 1) : now + by;
    show(inTime[(next + inTime.length) % inTime.length]);
  }
  function select(alarm) {
    current = alarm;
    for (const { dataset, parentElement } of document.querySelectorAll("[data-show]")) {
      const row = parentElement.closest("tr, article");
      if (Number(dataset.show) === alarm) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    }
  }
  function show(alarm) {
    const { begin, finish, channels } = data.alarms[alarm];
    select(alarm);
    if (channels.length) chosen = new Set(channels);
    build();
    // As much on both sides as the alarm is long, and a readable number of rows.
    const usual = 60 * (last - first) / Math.max(data.nRows - 1, 1);
    const around = Math.max(finish - begin, usual);
    look(begin - around, finish + around);
  }
  function whole() {
    select(null);
    look(first, last);
  }

  // --- drawing
  function hatch(context, stroke) { // a pattern, for those who see no colours
    const tile = document.createElement("canvas");
    tile.width = tile.height = Math.round(8 * devicePixelRatio);
    const pen = tile.getContext("2d");
    pen.scale(tile.width / 8, tile.width / 8);
    pen.strokeStyle = stroke;
    pen.moveTo(-2, 10);
    pen.lineTo(10, -2);
    pen.moveTo(-2, 2);
    pen.lineTo(2, -2);
    pen.moveTo(6, 10);
    pen.lineTo(10, 6);
    pen.stroke();
    return context.createPattern(tile, "repeat");
  }
  function drawBands(u) {
    const { ctx, bbox } = u;
    const ratio = devicePixelRatio;
    const side = (t) => u.valToPos(t, "x", true);
    const inside = (from, to) => to >= u.scales.x.min && from <= u.scales.x.max;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.fillStyle = colour("labelled");
    for (const [from, to] of data.labelled) {
      if (!inside(from, to)) continue;
      const width = Math.max(side(to) - side(from), 2 * ratio);
      ctx.fillRect(side(from), bbox.top + bbox.height - 6 * ratio, width, 6 * ratio);
    }
    const pattern = hatch(ctx, colour("alarm"));
    ctx.font = `${11 * ratio}px system-ui, sans-serif`;
    ctx.textBaseline = "top";
    const seenAlarms = inTime.filter((alarm) =>
      inside(data.alarms[alarm].begin, data.alarms[alarm].finish));
    let free = -Infinity; // where the next number has room
    for (const alarm of seenAlarms) {
      const { begin, finish } = data.alarms[alarm];
      const left = side(begin);
      const width = Math.max(side(finish) - left, 2 * ratio);
      // Many short ones would hide the line: they are marks at the upper edge.
      const isMark = width < 8 * ratio && seenAlarms.length > 20;
      const height = isMark ? 6 * ratio : bbox.height;
      ctx.globalAlpha = alarm === current ? 0.8 : 0.4;
      ctx.fillStyle = pattern;
      ctx.fillRect(left, bbox.top, width, height);
      ctx.globalAlpha = 1;
      ctx.fillStyle = colour("alarm");
      ctx.fillRect(left, bbox.top, ratio, height);
      ctx.fillRect(left + width - ratio, bbox.top, ratio, height);
      const text = String(alarm + 1);
      const at = Math.max(left, bbox.left) + 3 * ratio;
      if (at > free) {
        ctx.fillStyle = colour("ink");
        ctx.fillText(text, at, bbox.top + (isMark ? 8 : 2) * ratio);
        free = at + ctx.measureText(text).width + 4 * ratio;
      }
    }
    ctx.restore();
  }
  function drawThreshold(u) {
    if (data.threshold === null) return;
    const { ctx, bbox } = u;
    const ratio = devicePixelRatio;
    const y = u.valToPos(data.threshold, "y", true);
    ctx.save();
    ctx.strokeStyle = colour("threshold");
    ctx.lineWidth = 1.5 * ratio;
    ctx.setLineDash([8 * ratio, 4 * ratio]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.restore();
  }
  function scoreRange(u, low, high) {
    const t = data.threshold;
    if (low === null) return data.isLog ? [t / 2, t * 2] : [t - 1, t + 1];
    let bottom = Math.min(low, t);
    const top = Math.max(high, t);
    if (data.isLog) { // single errors near 0 are not worth a decade each
      bottom = Math.max(bottom, Math.min(high, t) / 1e3);
      return [bottom / 1.3, top * 1.3];
    }
    const space = 0.1 * (top - bottom) || 1;
    return [bottom - space, top + space];
  }

  function scoreTicks(u, axis, low, high) { // of a logarithmic axis
    const powers = [];
    const lowest = Math.ceil(Math.log10(low));
    const highest = Math.floor(Math.log10(high));
    const by = Math.max(Math.ceil((highest - lowest) / 4), 1);
    for (let power = lowest; power <= highest; power += by) powers.push(10 ** power);
    return powers.length > 1 ? powers : [low, data.threshold, high];
  }

  // --- panels
  function panel(name, series, isLowest, extra) {
    const box = document.createElement("div");
    const head = document.createElement("p");
    const text = document.createElement("span");
    head.className = "panel-head";
    head.append(isolated(name), " ", text);
    box.append(head);
    area.append(box);
    const axis = (more) => ({
      stroke: () => colour("soft"), ticks: { show: false },
      grid: { stroke: () => colour("line"), width: 1 }, ...more,
    });
    const styles = [
      { stroke: () => colour("ink"), width: 1 },
      { stroke: () => colour("expected"), width: 1.5, dash: [6, 4], points: { show: false } },
    ];
    const u = new uPlot({
      width: area.clientWidth,
      height: (isLowest ? 40 : 0) + 120,
      legend: { show: false },
      padding: [8, 24, 4, 0],
      cursor: { sync: { key: "report" }, y: false, drag: { x: true, y: false } },
      scales: { x: { time: data.isTime }, ...extra.scales },
      tzDate: (t) => uPlot.tzDate(new Date(t * 1000), "Etc/UTC"),
      axes: [
        axis({ values: ticks, show: isLowest, size: 40, space: 90 }),
        axis({ size: 62, values: (_, splits) => splits.map((x) => brief(x)), space: 26, ...extra.axis }),
      ],
      series: [{}, ...series.map((_, i) => styles[i])],
      hooks: {
        drawClear: [drawBands],
        draw: extra.draw ?? [],
        setCursor: [() => {
          const i = u?.cursor.idx;
          text.textContent = i === null || i === undefined ? "" : extra.read(i);
        }],
        setScale: [(_, key) => {
          if (key !== "x" || !u) return;
          const { min, max } = u.scales.x;
          if (min !== view[0] || max !== view[1]) look(min, max);
        }],
      },
    }, [times, ...series], box);
    return u;
  }
  function build() {
    for (const u of charts) u.destroy();
    area.replaceChildren();
    const shown = [...chosen];
    charts = [panel(data.isLog ? "score, logarithmic" : "score", [score], !shown.length, {
      scales: { y: { range: scoreRange, distr: data.isLog ? 3 : 1 } },
      axis: data.isLog ? { splits: scoreTicks, filter: (_, splits) => splits,
        values: (_, splits) => splits.map((x) => brief(x, 3)) } : {},
      draw: [drawThreshold],
      read: (i) =>
        `${moment(times[i])}: ${readAt(score, i)}, threshold ${exact(data.threshold)}`,
    })];
    shown.forEach((channel, i) => {
      const { name, unit, expected } = data.channels[channel];
      const [readings, other] = line(channel);
      const word = expected ? "expected" : "usual";
      const read = (at) => `${moment(times[at])}: ${readAt(readings, at)}`
        + (other[at] === null ? "" : `, ${word} ${exact(other[at])}`);
      const title = unit ? `${name} (${unit})` : name;
      charts.push(panel(title, [readings, other], i === shown.length - 1, { read }));
    });
    for (const box of choices.querySelectorAll("input")) {
      box.checked = chosen.has(Number(box.value));
    }
    look(...view);
  }

  // --- what the reader does
  const choices = document.getElementById("channels");
  data.channels.forEach(({ name }, channel) => {
    const label = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.value = channel;
    label.append(box, " ", isolated(name));
    choices.append(label);
  });
  choices.addEventListener("change", ({ target }) => {
    if (target.checked) chosen.add(Number(target.value));
    else chosen.delete(Number(target.value));
    build();
  });
  const moves = {
    whole, in: () => zoom(0.5), out: () => zoom(2), left: () => pan(-0.3),
    right: () => pan(0.3), previous: () => step(-1), next: () => step(1),
  };
  const keys = {
    "+": "in", "=": "in", "-": "out", ArrowLeft: "left", ArrowRight: "right",
    Home: "whole", n: "next", p: "previous",
  };
  document.addEventListener("click", (event) => {
    const { move } = event.target.dataset;
    if (move) moves[move]();
    const row = event.target.closest("[data-show], #alarm-table tbody tr");
    if (!row || !getSelection().isCollapsed) return;
    const button = row.dataset.show ? row : row.querySelector("[data-show]");
    show(Number(button.dataset.show));
    document.getElementById("charts").scrollIntoView();
    area.focus({ preventScroll: true }); // where the keys go on from here
  });
  area.addEventListener("keydown", (event) => {
    const move = keys[event.key];
    if (!move || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    moves[move]();
  });
  area.addEventListener("wheel", (event) => {
    const over = event.target.closest(".u-over");
    if (!over || !(event.ctrlKey || event.metaKey)) return; // the page scrolls
    event.preventDefault();
    const { left, width } = over.getBoundingClientRect();
    const at = view[0] + (view[1] - view[0]) * (event.clientX - left) / width;
    zoom(event.deltaY > 0 ? 1.25 : 0.8, at);
  }, { passive: false });
  // A finger moves the charts, and so does the mouse with Shift; else uPlot zooms.
  area.addEventListener("mousedown", (event) => {
    if (event.shiftKey) event.stopPropagation();
  }, true);
  let grabbed = null;
  area.addEventListener("pointerdown", (event) => {
    const over = event.target.closest(".u-over");
    if (!over || !(event.shiftKey || event.pointerType === "touch")) return;
    grabbed = { x: event.clientX, width: over.clientWidth };
    over.setPointerCapture(event.pointerId);
  });
  area.addEventListener("pointermove", (event) => {
    if (!grabbed) return;
    pan((grabbed.x - event.clientX) / grabbed.width);
    grabbed.x = event.clientX;
  });
  for (const end of ["pointerup", "pointercancel"]) {
    area.addEventListener(end, () => { grabbed = null; });
  }
  new ResizeObserver(() => {
    for (const u of charts) u.setSize({ width: area.clientWidth, height: u.height });
  }).observe(area);
  for (const query of ["(prefers-color-scheme: dark)", "print"]) {
    matchMedia(query).addEventListener("change", () => {
      for (const u of charts) u.redraw(false);
    });
  }
  build();
})();
