// Follows a run in a browser: node live.mjs URL METRICS. Prints a line of JSON every 100 ms: the step that the page shows, its
// state, the number of records in the file METRICS that the page does not show yet, the steps in the table behind its first chart,
// and the messages of the console. Ends when its stdin is closed.
import { createRequire } from "node:module";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
const require = createRequire(process.env.AMDIM_BROWSER_PACKAGES);
const puppeteer = require("puppeteer-core");

const profile = mkdtempSync(tmpdir() + "/amdim-browser-");
const browser = await puppeteer.launch({
  executablePath: process.env.AMDIM_BROWSER, headless: true, userDataDir: profile,
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
});
const page = await browser.newPage();
const messages = [], requests = new Set();
page.on("console", message => messages.push(message.text()));
page.on("pageerror", error => messages.push(String(error)));
page.on("request", request => { if (request.url().startsWith("http")) requests.add(new URL(request.url()).pathname); });
await page.goto(process.argv[2], { waitUntil: "domcontentloaded" });
await page.evaluate(() => { globalThis.isFirst = true; }); // until somebody loads the page again

const look = () => {
  const text = name => document.querySelector(`[data-live="${name}"]`)?.textContent;
  const figure = document.querySelector("figure.chart .data");
  return {
    step: Number((text("step") ?? "").replaceAll(/\D/g, "")), state: text("state"), loss: text("loss"),
    steps: figure ? JSON.parse(figure.textContent).steps : [], at: Date.now(), isFirst: globalThis.isFirst === true,
  };
};
let isOpen = true;
process.stdin.on("data", () => {}).on("end", () => { isOpen = false; });
const records = () => {
  if (!existsSync(process.argv[3])) return [];
  const lines = readFileSync(process.argv[3], "utf8").split("\n").slice(0, -1).map(line => JSON.parse(line));
  return lines.filter(record => record.kind === "train").map(record => record.step);
};
while (isOpen) {
  const recorded = records(); // what comes between the two looks is for the page
  const seen = await page.evaluate(look);
  const behind = recorded.filter(step => step > seen.step).length;
  console.log(JSON.stringify({ ...seen, behind, messages, requests: [...requests] }));
  await new Promise(done => setTimeout(done, 100));
}
await browser.close();
rmSync(profile, { recursive: true, force: true });
