// Looks at reports in a browser and prints what is wrong, one problem in each line.
// node check.mjs PAGE.html [METRICS.jsonl] [--shot PREFIX]: with METRICS, numbers under the cursor are compared with it.
import { createRequire } from "node:module";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { pathToFileURL } from "node:url";
const require = createRequire(process.env.AMDIM_BROWSER_PACKAGES);
const puppeteer = require("puppeteer-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const pages = JSON.parse(process.argv[2]); // [{name, page, metrics}]
const shots = process.argv[3];
const problems = [];
const profile = mkdtempSync(tmpdir() + "/amdim-browser-");
const browser = await puppeteer.launch({
  executablePath: process.env.AMDIM_BROWSER, headless: true, userDataDir: profile,
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"],
});

const VIEWS = [
  ["wide light", 1200, "light", "screen"], ["wide dark", 1200, "dark", "screen"],
  ["phone light", 360, "light", "screen"], ["phone dark", 360, "dark", "screen"], ["print", 1000, "light", "print"],
];

// Runs in the page. Returns what is wrong with its geometry.
const geometry = () => {
  const wrong = [], root = document.documentElement;
  if (root.scrollWidth > innerWidth) {
    const wide = [...document.querySelectorAll("main *")].find(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll"));
    wrong.push(`${root.scrollWidth} px wide in a window of ${innerWidth}: ${wide && wide.outerHTML.slice(0, 120)}`);
  }
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walk.nextNode());) {
    const parent = node.parentElement;
    if (!node.data.trim() || ["SCRIPT", "STYLE"].includes(parent.tagName) || !parent.checkVisibility()) continue;
    const size = parseFloat(getComputedStyle(parent).fontSize);
    if (size < 11) wrong.push(`${size} px: ${node.data.trim().slice(0, 40)}`);
  }
  for (const figure of document.querySelectorAll("figure.chart")) {
    const frame = figure.getBoundingClientRect(), title = figure.querySelector("h3").textContent;
    for (const label of figure.querySelectorAll(".y span, .x span, .legend li, h3")) {
      if (!label.checkVisibility()) continue;
      const box = label.getBoundingClientRect();
      if (box.left < frame.left - .5 || box.right > frame.right + .5 || box.top < frame.top - .5 || box.bottom > frame.bottom + .5)
        wrong.push(`${title}: the label ${label.textContent} is outside of its chart`);
    }
    for (const axis of figure.querySelectorAll(".x")) {
      const boxes = [...axis.children].map(child => child.getBoundingClientRect()).filter(box => box.width);
      boxes.forEach((box, at) => { if (at && box.left < boxes[at - 1].right) wrong.push(`${title}: labels overlap`); });
    }
    const lines = [...figure.querySelectorAll("path.line")].filter(line => line.checkVisibility());
    if (!lines.some(line => line.getTotalLength() > 0)) wrong.push(`${title}: nothing is drawn`);
  }
  return wrong;
};

// Runs in the page. Counts the pixels of a screenshot that have the colour of a line.
const inked = async (png, colour) => {
  const image = new Image();
  image.src = "data:image/png;base64," + png;
  await image.decode();
  const canvas = new OffscreenCanvas(image.width, image.height), context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const wanted = colour.match(/\d+/g).map(Number), { data } = context.getImageData(0, 0, image.width, image.height);
  let count = 0;
  for (let at = 0; at < data.length; at += 4) count += wanted.every((value, channel) => Math.abs(data[at + channel] - value) < 70); // of an antialiased line
  return count;
};

async function ink(page, say) {
  for (const figure of await page.$$("figure.chart")) {
    const { title, colours } = await figure.evaluate(f => ({
      title: f.querySelector("h3").textContent,
      colours: [...f.querySelectorAll("path.line")].filter(line => line.checkVisibility()).map(line => getComputedStyle(line).stroke),
    }));
    const area = await figure.evaluateHandle(f => [...f.querySelectorAll(".area")].find(area => area.checkVisibility()));
    const png = await area.asElement().screenshot({ encoding: "base64" });
    let most = 0; // a line may lie under another one
    for (const colour of new Set(colours)) most = Math.max(most, await page.evaluate(inked, png, colour));
    if (most < 10) say(`${title}: no ink in the chart`);
  }
}

const FIELDS = { "linear probe": "linear", "MLP probe": "mlp", "vote of 20 neighbours": "knn", RankMe: "rankme", "images/s": "images_per_second", "learning rate": "lr" };

// Moves the cursor over each chart, and compares what it reads with the records.
async function hover(page, metrics, say) {
  const records = readFileSync(metrics, "utf8").split("\n").filter(Boolean).map(line => JSON.parse(line));
  let read = 0;
  for (const figure of await page.$$("figure.chart")) {
    const title = await figure.$eval("h3", h => h.textContent);
    const kind = /Accuracy on validation|rank|cosine/.test(title) ? "validation" : "train";
    const area = (await figure.evaluateHandle(f => [...f.querySelectorAll(".area")].find(area => area.checkVisibility()))).asElement();
    await area.evaluate(a => a.scrollIntoView({ block: "center", behavior: "instant" }));
    const data = await figure.$eval(".data", d => JSON.parse(d.textContent)), box = await area.boundingBox();
    for (let k = 0; k < 10; k++) {
      const step = data.steps[Math.floor((k + .5) / 10 * data.steps.length)];
      const left = box.x + (step - data.from) / (data.to - data.from) * box.width;
      await page.mouse.move(Math.min(Math.max(left, box.x + .5), box.x + box.width - .5), box.y + box.height / 2);
      const { text, at } = await figure.$eval("output", o => ({ text: o.textContent, at: +o.dataset.step }));
      const record = records.filter(r => r.kind === kind && r.step === at).at(-1);
      for (const [, name, value] of text.slice(text.indexOf(": ") + 2).split(" · ").map(part => part.match(/^(.+) (-?[\d.e+-]+)(?: %)?$/) ?? [])) {
        const field = FIELDS[name] ?? name;
        if (name === undefined || name.startsWith("chance of") || (name === "chance" && kind === "validation") || (name === "chance" && /Accuracy/.test(title))) continue;
        const recorded = record?.[field] * (data.share ? 100 : 1);
        read++;
        if (!(Math.abs(recorded - value) <= 1e-5 * Math.abs(recorded) + 1e-12)) say(`${title}, step ${at}: ${name} reads ${value}, recorded is ${recorded}`);
      }
    }
    await area.$eval("svg", s => s.focus());
    await page.keyboard.press("Home");
    const first = await figure.$eval("output", o => +o.dataset.step);
    await page.keyboard.press("ArrowRight");
    const next = await figure.$eval("output", o => +o.dataset.step);
    if (first !== data.steps[0] || next !== data.steps[Math.min(1, data.steps.length - 1)]) say(`${title}: keys read ${first} and ${next}`);
  }
  return read;
}

async function look({ name, page: file, metrics }) {
  const page = await browser.newPage();
  let view = "";
  const say = what => problems.push(`${name}, ${view}: ${what}`);
  page.on("console", message => say(`console: ${message.text()}`));
  page.on("pageerror", error => say(`error: ${error}`));
  await page.setRequestInterception(true);
  const own = pathToFileURL(file).href;
  page.on("request", request => {
    const is_own = request.url() === own || request.url().startsWith("data:");
    if (!is_own) say(`request: ${request.url().slice(0, 200)}`);
    is_own ? request.continue() : request.abort();
  });
  const set = async ([label, width, scheme, media]) => {
    view = label;
    await page.setViewport({ width, height: 800 });
    await page.emulateMediaType(media);
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  };
  await set(VIEWS[0]);
  await page.goto(own, { waitUntil: "load" });
  await page.waitForSelector("[data-ready]", { timeout: 20000 });
  await page.evaluate(axe);
  let read = 0;
  for (const each of VIEWS) {
    await set(each);
    (await page.evaluate(geometry)).forEach(say);
    if (view === "wide light" && metrics) { await ink(page, say); read = await hover(page, metrics, say); }
    if (view === "phone dark" && metrics) await ink(page, say);
    if (view !== "print" && (metrics || view === "wide light" || view === "phone dark")) {
      const found = await page.evaluate(async () => (await window.axe.run({ resultTypes: ["violations"] })).violations
        .map(v => `axe ${v.id} (${v.impact}): ${v.nodes[0].html.slice(0, 160)} ${v.nodes[0].failureSummary}`));
      found.forEach(say);
    }
    if (shots) await page.screenshot({ path: `${shots}-${name}-${view.replace(" ", "-")}.png`, fullPage: true });
  }
  await page.close();
  view = "without script";
  const plain = await browser.newPage();
  await plain.setJavaScriptEnabled(false);
  await plain.setViewport({ width: 360, height: 800 });
  await plain.goto(own, { waitUntil: "load" });
  (await plain.evaluate(geometry)).forEach(say);
  await plain.close();
  return read;
}

try {
  for (const each of pages) console.log(`looked at ${each.name}, read ${await look(each)} numbers`);
} finally {
  await browser.close();
  rmSync(profile, { recursive: true, force: true });
}
problems.forEach(problem => console.log(`PROBLEM ${problem}`));
process.exit(problems.length ? 1 : 0);
