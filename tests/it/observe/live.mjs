// Follows a run in a browser: node live.mjs URL. Prints a line of JSON every 100 ms: the step that the page shows, its state, the
// number of steps in the table behind its first chart, and the messages of the console. Ends when its stdin is closed.
import { createRequire } from "node:module";
import { mkdtempSync, rmSync } from "node:fs";
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
while (isOpen) {
  const seen = await page.evaluate(look);
  console.log(JSON.stringify({ ...seen, messages, requests: [...requests] }));
  await new Promise(done => setTimeout(done, 100));
}
await browser.close();
rmSync(profile, { recursive: true, force: true });
