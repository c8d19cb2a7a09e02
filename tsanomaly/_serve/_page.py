# SPDX-License-Identifier: MIT
"""The page that a browser shows: charts, alarms and two buttons."""

__all__ = ["PAGE"]

# It loads nothing from elsewhere, and puts names in as text, never as HTML.
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>tsanomaly</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body { font: 15px system-ui, sans-serif; margin: 1.5rem auto; max-width: 70rem;
  padding: 0 1rem; color: #222; background: #fff }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #ddd }
svg { width: 100%; height: 9rem; border: 1px solid #ddd; margin: .2rem 0 }
.high { color: #b00020; font-weight: 600 } .medium { color: #9a5b00 }
button { font: inherit; margin-right: .4rem } #note { color: #b00020 }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #181818 }
  th, td, svg { border-color: #444 } .high { color: #ff8a80 }
  .medium { color: #ffb74d } }
</style></head><body>
<h1>tsanomaly</h1>
<p>Machine <select id="machine" aria-label="Machine"></select>
<button id="normal">This is the new normal</button> <span id="state"></span></p>
<p id="note" role="status"></p>
<div id="charts"></div>
<h2>Alarms</h2>
<table><thead><tr><th>Alarm<th>Machine<th>Start<th>End<th>Priority<th>Channels
<th>State<th></tr></thead><tbody id="alarms"></tbody></table>
<script>
const $ = id => document.getElementById(id);
let isAway = false;
const shown = number => Number(number).toPrecision(4);
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
    const answer = await fetch(path, {method: "POST", headers});
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
  const make = (tag, attributes) => {
    const item = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const key in attributes) item.setAttribute(key, attributes[key]);
    return item;
  };
  const svg = make("svg", {viewBox: "0 0 1000 100", preserveAspectRatio: "none",
    role: "img", "aria-label": name});
  let path = "", pen = "M";
  values.forEach((value, i) => {
    if (value === null) { pen = "M"; return; }
    path += pen + x(i) + " " + y(value);
    pen = "L";
  });
  const style = {fill: "none", "vector-effect": "non-scaling-stroke"};
  svg.append(make("path", {...style, d: path, stroke: "#3b7dd8"}));
  if (line !== null) svg.append(make("path", {...style, stroke: "#d84a3b",
    "stroke-dasharray": "6 4", d: `M0 ${y(line)}L1000 ${y(line)}`}));
  const label = document.createElement("div");
  label.textContent = known.length ? `${name}: ${shown(low)} to ${shown(high)}` : name;
  $("charts").append(label, svg);
}
async function refresh() {
  try {
    const machines = await get("machines"), select = $("machine"), old = select.value;
    select.replaceChildren(...machines.map(m => new Option(m.machine, m.machine)));
    if (machines.some(m => m.machine === old)) select.value = old;
    const machine = machines.find(m => m.machine === select.value);
    $("state").textContent = !machine ? "no readings yet" :
      (machine.alarm ? "alarm" : "normal") +
      (machine.drifted ? ", readings look no longer as in training" : "") +
      ", last reading " + machine.time;
    if (machine) {
      const name = encodeURIComponent(machine.machine);
      const found = await get(`machines/${name}/readings?last=300`);
      $("charts").replaceChildren();
      chart("Error and threshold", found.errors, machine.threshold);
      found.channels.forEach((channel, i) =>
        chart(channel, found.readings.map(row => row[i]), null));
    }
    const rows = (await get("alarms?last=50")).map(alarm => {
      const row = document.createElement("tr");
      const shares = alarm.channels.map((channel, i) =>
        `${channel} (${Math.round(100 * alarm.shares[i])} %)`).join(", ");
      const cells = [alarm.alarm, alarm.machine, alarm.start, alarm.end,
          alarm.priority, shares, alarm.state].map(text => {
        const cell = document.createElement("td");
        cell.textContent = text;
        return cell;
      });
      cells[4].className = alarm.priority;
      row.append(...cells);
      const cell = document.createElement("td");
      if (alarm.acknowledged) cell.textContent = "acknowledged";
      else {
        const button = document.createElement("button");
        button.textContent = "Acknowledge";
        button.onclick = () => post(`alarms/${alarm.alarm}/acknowledge`);
        cell.append(button);
      }
      row.append(cell);
      return row;
    });
    $("alarms").replaceChildren(...rows);
    // What a button was answered stays.
    if (isAway) $("note").textContent = "";
    isAway = false;
  } catch (error) {
    $("note").textContent = error.message;
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
$("machine").onchange = refresh;
poll();
</script></body></html>
"""
