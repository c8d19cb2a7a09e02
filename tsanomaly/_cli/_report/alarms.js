"use strict";
// The table of alarms: sorted, filtered, the worst first and few at a time.
(() => {
  for (const element of document.querySelectorAll(".scripted")) element.hidden = false;
  const table = document.getElementById("alarm-table");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const form = document.getElementById("filter");
  const more = document.getElementById("show-all");
  const nShown = Number(table.dataset.nShown);
  let all = rows.length <= nShown;

  // Clocks on the page are those of the readings, wherever the reader is.
  const place = (field, otherwise) => {
    if (!field.value) return otherwise;
    return field.type === "number"
      ? Number(field.value) : Date.parse(`${field.value}Z`) / 1000;
  };

  function update() {
    const { channel, state, duration } = form.elements;
    const from = place(form.elements.from, -Infinity);
    const to = place(form.elements.to, Infinity);
    const fits = ({ dataset }) =>
      (!channel.value || JSON.parse(dataset.channels).includes(channel.value))
      && (!state.value || dataset.state === state.value)
      && Number(dataset.length) >= Number(duration.value)
      && Number(dataset.finish) >= from && Number(dataset.begin) <= to;
    let n = 0;
    for (const row of body.rows) {
      const wanted = fits(row);
      n += wanted;
      row.hidden = !wanted || (!all && n > nShown);
    }
    more.hidden = all || n <= nShown;
    more.textContent = `Show all ${n}`;
    const shown = all ? n : Math.min(n, nShown);
    document.getElementById("n-shown").textContent =
      `${shown} of ${rows.length} alarm${rows.length === 1 ? "" : "s"} shown`;
  }

  function sort(head) {
    const { key, order } = head.dataset;
    const other = { ascending: "descending", descending: "ascending" };
    const now = head.getAttribute("aria-sort");
    const next = now ? other[now] : order;
    for (const cell of table.tHead.rows[0].cells) cell.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", next);
    const sign = next === "ascending" ? 1 : -1;
    const isText = key === "channels" || key === "state";
    const compare = (a, b) => (isText ? a.localeCompare(b) : a - b);
    body.append(...rows.sort((a, b) => sign * compare(a.dataset[key], b.dataset[key])));
    update();
  }

  for (const head of table.tHead.querySelectorAll("[data-key]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(head));
    head.append(button);
  }
  form.addEventListener("input", update);
  form.addEventListener("change", update);  // all that some drivers of browsers send
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(update));
  more.addEventListener("click", () => { all = true; update(); });
  update();
})();
