# SPDX-License-Identifier: MIT
"""The page that a browser shows: charts, alarms and two buttons."""

__all__ = ["PAGE"]

# It loads nothing from elsewhere, and puts names in as text, never as HTML.
PAGE = r"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>tsanomaly</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark; --text: #222; --paper: #fff; --line: #d0d0d0;
  --quiet: #5c5c5c; --series: #2f6fc4; --limit: #c0392b; --high: #b00020;
  --medium: #8a5000 }
@media (prefers-color-scheme: dark) { :root { --text: #ddd; --paper: #181818;
  --line: #444; --quiet: #a5a5a5; --series: #6fa8f0; --limit: #ff8a70;
  --high: #ff8a80; --medium: #ffb74d } }
body { font: 15px/1.4 system-ui, sans-serif; margin: 1.5rem auto; max-width: 72rem;
  padding: 0 1rem; color: var(--text); background: var(--paper);
  overflow-wrap: anywhere }
[hidden] { display: none !important }
.bar { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: center }
select { max-width: 100% }
select, button { font: inherit; padding: .25rem .6rem }
svg { display: block; width: 100%; height: 8rem; border: 1px solid var(--line);
  margin: .1rem 0 .6rem }
.name { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 1rem }
.quiet { color: var(--quiet) }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .4rem .6rem .4rem 0;
  border-bottom: 1px solid var(--line) }
th, .short, button { white-space: nowrap; overflow-wrap: normal }
.high { color: var(--high); font-weight: 600 } .medium { color: var(--medium) }
.active { font-weight: 600 } #note { color: var(--high) }
@media (max-width: 60rem) {
  thead { display: none }
  table, tbody, tr, td { display: block }
  tr { border-bottom: 1px solid var(--line); padding: .6rem 0 }
  td { border: 0; padding: .1rem 0 .1rem 6.5rem; min-height: 1.4em; position: relative }
  td::before { content: attr(data-label); position: absolute; left: 0;
    color: var(--quiet); font-weight: 400 }
  td:empty { display: none }
}
</style></head><body>
<h1>tsanomaly</h1>
<p id="empty" class="quiet">No readings yet. They are sent to POST /readings.</p>
<p class="bar" id="bar" hidden><label>Machine <select id="machine"></select></label>
<strong id="state"></strong><span id="since" class="quiet"></span>
<button id="normal">This is the new normal</button></p>
<p id="note" role="status"></p>
<div id="charts"></div>
<h2>Alarms</h2>
<p id="none" class="quiet">No alarms so far.</p>
<table id="table" hidden><thead><tr><th>Alarm<th>Machine<th>Start (UTC)<th>End (UTC)
<th>Priority<th>Channels<th>State<th></tr></thead><tbody id="alarms"></tbody></table>
<p id="rest" class="quiet" hidden>The latest <span id="n-shown"></span> alarms, and all
that are active. <button id="more">Show more</button></p>
<script>
const $ = id => document.getElementById(id);
const FIRST = 50, MOST = 1000;
let isAway = false, last = FIRST, known = {};
const shown = number => Number(number).toPrecision(4);
// Times are in UTC; readings without times have numbers.
const time = value => typeof value !== "string" ? value :
  value.slice(0, 19).replace("T", " ");
// What is the same stays: a list that is open, a button that has the focus.
function isNew(name, value) {
  const text = JSON.stringify(value), is = known[name] !== text;
  known[name] = text;
  return is;
}
function make(tag, text, name) {
  const item = document.createElement(tag);
  item.textContent = text;
  if (name) item.className = name;
  return item;
}
async function get(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error((await answer.json()).error);
  return answer.json();
}
async function post(path) {
  $("note").textContent = "";
  for (let again = 0; again < 2; again++) {
    const token = sessionStorage.getItem("token");
    const headers = token ? {Authorization: "Bearer " + token} : {};
    let answer;
    try {
      answer = await fetch(path, {method: "POST", headers});
    } catch (error) {
      $("note").textContent = "The watch does not answer. Try again.";
      break;
    }
    if (answer.status === 401 && !again) {
      const typed = prompt("Token");
      if (!typed) return;
      sessionStorage.setItem("token", typed);
      continue;
    }
    if (!answer.ok) {
      if (answer.status === 401) sessionStorage.removeItem("token");
      $("note").textContent = (await answer.json()).error;
    }
    break;
  }
  refresh();
}
function chart(name, values, line) {
  const known = values.concat(line === null ? [] : [line]).filter(v => v !== null);
  const low = Math.min(...known), high = Math.max(...known), span = high - low || 1;
  const x = i => 1000 * i / Math.max(values.length - 1, 1);
  const y = v => 96 - 92 * (v - low) / span;
  const draw = (tag, attributes) => {
    const item = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const key in attributes) item.setAttribute(key, attributes[key]);
    return item;
  };
  const range = known.length ? `${shown(low)} to ${shown(high)}` : "no readings";
  const svg = draw("svg", {viewBox: "0 0 1000 100", preserveAspectRatio: "none",
    role: "img", "aria-label": `${name}: ${range}`});
  let path = "", pen = "M";
  values.forEach((value, i) => {
    if (value === null) { pen = "M"; return; }
    path += pen + x(i) + " " + y(value);
    pen = "L";
  });
  const style = {fill: "none", "vector-effect": "non-scaling-stroke"};
  svg.append(draw("path", {...style, d: path, stroke: "var(--series)"}));
  if (line !== null) svg.append(draw("path", {...style, stroke: "var(--limit)",
    "stroke-dasharray": "6 4", d: `M0 ${y(line)}L1000 ${y(line)}`}));
  const label = make("div", "", "name");
  label.append(make("span", name), make("span", range, "quiet"));
  $("charts").append(label, svg);
}
function row(alarm) {
  const shares = alarm.channels.map((channel, i) =>
    `${channel} (${Math.round(100 * alarm.shares[i])}\u00a0%)`).join(", ");
  const end = alarm.state === "active" ? "" : time(alarm.end);
  const cells = [["Alarm", alarm.alarm], ["Machine", alarm.machine],
    ["Start (UTC)", time(alarm.start), "short"], ["End (UTC)", end, "short"],
    ["Priority", alarm.priority, alarm.priority], ["Channels", shares],
    ["State", alarm.state, `short ${alarm.state}`]].map(([label, text, name]) => {
      const cell = make("td", text, name);
      cell.dataset.label = label;
      return cell;
    });
  const cell = make("td", alarm.acknowledged ? "acknowledged" : "", "short");
  if (!alarm.acknowledged) {
    const button = make("button", "Acknowledge");
    button.setAttribute("aria-label", `Acknowledge alarm ${alarm.alarm}`);
    button.onclick = () => post(`alarms/${alarm.alarm}/acknowledge`);
    cell.append(button);
  }
  const line = document.createElement("tr");
  line.append(...cells, cell);
  return line;
}
function showMachine(machine, found) {
  $("state").textContent = machine.alarm ? "alarm" : "normal";
  $("state").className = machine.alarm ? "high" : "";
  $("since").textContent = (machine.time ? `last reading ${time(machine.time)} UTC` :
    `${machine.readings} readings`) +
    (machine.drifted ? "; readings no longer look as in training" : "");
  $("normal").disabled = !machine.alarm;
  $("charts").replaceChildren();
  chart("Error (dashed: threshold)", found.errors, machine.threshold);
  found.channels.forEach((channel, i) =>
    chart(channel, found.readings.map(row => row[i]), null));
  const ends = [found.times[0], found.times[found.times.length - 1]].filter(Boolean);
  const axis = make("div", "", "name quiet");
  axis.append(...ends.map(end => make("span", `${time(end)} UTC`)));
  $("charts").append(axis);
}
async function refresh() {
  try {
    const machines = await get("machines"), select = $("machine"), old = select.value;
    const names = machines.map(m => m.machine);
    if (isNew("names", names)) {
      select.replaceChildren(...names.map(name => new Option(name, name)));
      if (names.includes(old)) select.value = old;
    }
    const machine = machines.find(m => m.machine === select.value);
    $("empty").hidden = Boolean(machine);
    $("bar").hidden = !machine;
    if (machine) {
      const name = encodeURIComponent(machine.machine);
      showMachine(machine, await get(`machines/${name}/readings?last=300`));
    }
    const alarms = await get(`alarms?last=${last}`);
    const active = alarms.filter(alarm => alarm.state === "active").length;
    document.title = (active ? `(${active}) ` : "") + "tsanomaly";
    if (isNew("alarms", alarms)) $("alarms").replaceChildren(...alarms.map(row));
    $("none").hidden = alarms.length > 0;
    $("table").hidden = !alarms.length;
    $("rest").hidden = alarms.length < last;
    $("n-shown").textContent = last;
    $("more").hidden = last === MOST;
    // What a button was answered stays.
    if (isAway) $("note").textContent = "";
    isAway = false;
  } catch (error) {
    $("note").textContent = error instanceof TypeError ?
      "The watch does not answer. What is shown may be old." : error.message;
    isAway = true;
  }
}
async function poll() {
  await refresh();
  setTimeout(poll, 3000);
}
$("normal").onclick = () => {
  const name = $("machine").value;
  if (name && confirm(`Are the readings of ${name} since its alarm began normal?`))
    post(`machines/${encodeURIComponent(name)}/accept-new-normal`);
};
$("more").onclick = () => { last = MOST; refresh(); };
$("machine").onchange = refresh;
poll();
</script></body></html>
"""
