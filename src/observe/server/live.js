"use strict";
(() => {
  const LEAST = 1000; // milliseconds between two times that numbers are loaded anew
  const state = text => { for (const pill of document.querySelectorAll('[data-live="state"]')) { pill.textContent = text; pill.className = "state " + text.split(" ")[0]; } };
  const withImages = ["views", "neighbours", "bad"];
  let wanted = null, loading = false, last = Date.now();
  const replace = (html, everything) => {
    const fresh = new DOMParser().parseFromString(html, "text/html");
    const header = fresh.querySelector("main > header");
    if (header) document.querySelector("main > header").replaceWith(header);
    for (const section of fresh.querySelectorAll("main > section")) {
      const old = document.getElementById(section.id);
      if (!old || (!everything && withImages.includes(section.id)) || old.contains(document.activeElement) || old.matches(":hover")) continue;
      const open = [...old.querySelectorAll("details, input")].map(element => element.open || element.checked);
      [...section.querySelectorAll("details, input")].forEach((element, place) => { if (open[place]) element.open = element.checked = true; });
      old.replaceWith(section);
    }
    globalThis.drawReadings();
  };
  const load = async () => {
    if (loading || wanted === null || document.hidden) return;
    const wait = last + LEAST - Date.now();
    if (wait > 0) { setTimeout(load, wait); return; }
    const everything = wanted === "all";
    loading = true;
    wanted = null;
    try {
      const answer = await fetch(everything ? "./" : "numbers.html");
      if (answer.ok) replace(await answer.text(), everything);
    } catch { wanted = everything ? "all" : "numbers"; }
    last = Date.now();
    loading = false;
    load();
  };
  const want = what => { if (wanted !== "all") wanted = what; load(); };
  const events = new EventSource("live");
  let isOpen = false;
  events.addEventListener("record", event => {
    const { kind, ...texts } = JSON.parse(event.data);
    if (!isOpen) { isOpen = true; state("running"); }
    for (const [name, text] of Object.entries(texts))
      for (const element of document.querySelectorAll(`[data-live="${name}"]`)) element.textContent = text;
    want(kind === "validation" ? "all" : "numbers");
  });
  events.addEventListener("reset", () => want("all"));
  events.addEventListener("end", () => { isOpen = false; state("ended"); });
  events.onerror = () => { if (isOpen) { isOpen = false; state("not reached"); } };
  document.addEventListener("visibilitychange", load);
})();
