"use strict";
const drawReadings = () => { for (const figure of document.querySelectorAll("figure.chart:not([data-ready])")) {
  figure.dataset.ready = "1";
  const data = JSON.parse(figure.querySelector(".data").textContent), { steps, values, names } = data;
  const reading = figure.querySelector(".reading"), cursors = figure.querySelectorAll(".cursor");
  let at = -1;
  const words = value => data.share ? +(100 * value).toPrecision(6) + " %" : String(+value.toPrecision(6));
  const show = place => {
    at = Math.max(0, Math.min(steps.length - 1, place));
    const left = 100 * (steps[at] - data.from) / (data.to - data.from) + "%";
    for (const cursor of cursors) { cursor.style.left = left; cursor.classList.add("on"); }
    const shown = names.map((name, number) => [name, values[number][at]]).filter(([, value]) => value !== null);
    reading.textContent = "step " + steps[at] + ": " + shown.map(([name, value]) => name + " " + words(value)).join(" · ");
    reading.dataset.step = steps[at];
  };
  for (const area of figure.querySelectorAll(".area")) {
    area.addEventListener("pointermove", event => {
      const box = area.getBoundingClientRect();
      const step = data.from + (event.clientX - box.left) / box.width * (data.to - data.from);
      let low = 0, high = steps.length - 1;
      while (low < high) { const middle = low + high >> 1; if (steps[middle] < step) low = middle + 1; else high = middle; }
      show(low > 0 && step - steps[low - 1] < steps[low] - step ? low - 1 : low);
    });
    area.addEventListener("keydown", event => {
      const by = { ArrowRight: 1, ArrowLeft: -1, PageDown: 20, PageUp: -20, Home: -1e9, End: 1e9 }[event.key];
      if (by) { event.preventDefault(); show(at + by); }
    });
  }
} };
globalThis.drawReadings = drawReadings;
drawReadings();
document.documentElement.dataset.ready = "1";
