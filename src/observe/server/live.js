"use strict";
(() => {
  const LEAST = 1000; // milliseconds between two times that a part of the page is loaded
  const AGAIN = 5000; // milliseconds until a refused connection is tried again
  const WITH_IMAGES = ["views", "neighbours", "bad"];
  let state = "", step = 0, events;
  const number = text => Number((text ?? "").replaceAll(/\D/g, ""));
  const show = text => {
    state = text;
    for (const pill of document.querySelectorAll('[data-live="state"]')) { pill.textContent = text; pill.className = "state " + text.split(" ")[0]; }
  };
  const replace = section => {
    const old = document.getElementById(section.id);
    if (!old || old.contains(document.activeElement) || old.matches(":hover")) return;
    const open = [...old.querySelectorAll("details, input")].map(element => element.open || element.checked);
    [...section.querySelectorAll("details, input")].forEach((element, place) => { if (open[place]) element.open = element.checked = true; });
    old.replaceWith(section);
  };
  // Loads a part of the page when it is wanted, as often as the server makes it anew.
  const loader = (path, isOf, others) => {
    let isWanted = false, isLoading = false, next = Date.now() + LEAST, timer;
    const load = async () => {
      if (isLoading || !isWanted || document.hidden) return;
      const wait = next - Date.now();
      if (wait > 0) { clearTimeout(timer); timer = setTimeout(load, wait); return; }
      isLoading = true;
      try {
        const answer = await fetch(path);
        if (!answer.ok) throw new Error(answer.statusText);
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        for (const section of page.querySelectorAll("main > section")) if (isOf(section.id)) replace(section);
        others(page);
        globalThis.drawReadings();
        if (state) show(state);
        isWanted = number(page.querySelector('[data-live="step"]')?.textContent) < step;
        next = Date.now() + Math.max(LEAST, 1000 * Number(answer.headers.get("fresh-seconds") ?? 0));
      } catch { next = Date.now() + LEAST; isLoading = false; return; } // until the next event
      isLoading = false;
      load();
    };
    return { load, want(isUrgent) { isWanted = true; if (isUrgent) next = 0; load(); } };
  };
  const numbers = loader("numbers.html", id => !WITH_IMAGES.includes(id), page => {
    const header = page.querySelector("main > header"), steps = header?.querySelector('[data-live="step"]');
    if (steps && number(steps.textContent) >= step) document.querySelector("main > header").replaceWith(header);
  });
  const images = loader("./", id => WITH_IMAGES.includes(id), () => {});
  const follow = () => {
    events = new EventSource("live");
    let isOpen = false;
    events.addEventListener("record", event => {
      const { kind, ...texts } = JSON.parse(event.data);
      if (!isOpen) { isOpen = true; show("running"); }
      step = number(texts.step);
      for (const [name, text] of Object.entries(texts))
        for (const element of document.querySelectorAll(`[data-live="${name}"]`)) element.textContent = text;
      numbers.want();
      if (kind === "validation") images.want();
    });
    events.addEventListener("reset", () => { step = 0; numbers.want(); images.want(); });
    events.addEventListener("end", () => { isOpen = false; show("ended"); numbers.want(true); });
    events.onerror = () => {
      if (isOpen) { isOpen = false; show("not reached"); }
      if (events.readyState === EventSource.CLOSED) setTimeout(follow, AGAIN);
    };
  };
  document.addEventListener("visibilitychange", () => { numbers.load(); images.load(); });
  follow();
})();
