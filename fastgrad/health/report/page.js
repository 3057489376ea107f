"use strict";
// Tables sort by the column whose head is pressed; figures say the value under the pointer.

for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...table.tBodies[0].rows];
      const keys = new Map(rows.map((row) => [row, Number(row.cells[column].dataset.value)]));
      // what is no number comes last, whatever the direction
      rows.sort((a, b) => {
        const [x, y] = [keys.get(a), keys.get(b)];
        if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
        return up ? x - y : y - x;
      });
      table.tBodies[0].append(...rows);
    });
  });
}

const position = (value, [low, high], log) =>
  log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);

const valueAt = (share, [low, high], log) =>
  log ? low * Math.pow(high / low, share) : low + share * (high - low);

const written = (value) => typeof value === "number" ? String(value) : value;

const nearest = (places, x) => {
  let best = 0;
  places.forEach((place, i) => {
    if (Math.abs(place - x) < Math.abs(places[best] - x)) best = i;
  });
  return best;
};

// a column of a map reaches from its step to the next one
const column = (steps, x) => Math.max(steps.findLastIndex((step) => step <= x), 0);

const row = (data, step, y) => {
  if (data.at) return nearest(data.at, y);
  const places = data.values.map((values) => {
    const place = position(values[step], data.ylim, data.log);
    return Number.isFinite(place) ? place : Infinity;
  });
  return nearest(places, position(y, data.ylim, data.log));
};

const described = (data, x, y) => {
  const step = data.at ? column(data.steps, x) : nearest(data.steps, x);
  const which = row(data, step, y);
  return `${data.names[which]}, step ${data.steps[step]}: ${written(data.values[which][step])}`;
};

for (const picture of document.querySelectorAll(".picture[data-hover]")) {
  const data = JSON.parse(picture.dataset.hover);
  if (!data) continue;
  const value = document.createElement("div");
  value.className = "value";
  value.hidden = true;
  picture.append(value);
  picture.addEventListener("pointerleave", () => { value.hidden = true; });
  picture.addEventListener("pointermove", (event) => {
    const box = picture.getBoundingClientRect();
    const [left, top, right, bottom] = data.box;
    const across = ((event.clientX - box.left) / box.width - left) / (right - left);
    const up = (bottom - (event.clientY - box.top) / box.height) / (bottom - top);
    value.hidden = across < 0 || across > 1 || up < 0 || up > 1;
    if (value.hidden) return;
    const x = valueAt(across, data.xlim, false), y = valueAt(up, data.ylim, data.log);
    value.textContent = described(data, x, y);
    value.style.top = `${event.clientY - box.top + 14}px`;
    const room = event.clientX - box.left < box.width / 2;
    value.style.left = room ? `${event.clientX - box.left + 14}px` : "auto";
    value.style.right = room ? "auto" : `${box.right - event.clientX + 14}px`;
  });
}
