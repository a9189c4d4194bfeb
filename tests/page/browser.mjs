// A headless Chromium with a profile of its own, which talks to nobody but the page.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import puppeteer from "puppeteer-core";

/** Runs `task` with a new browser, and ends that whatever happens. */
export async function withBrowser(task, more = []) {
  const profile = await mkdtemp(join(tmpdir(), "ftrace-live-page-"));
  const browser = await puppeteer.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    userDataDir: profile,
    args: [
      "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync", ...more,
    ],
  });
  try {
    return await task(browser);
  } finally {
    await browser.close();
    await rm(profile, { recursive: true, force: true });
  }
}

/** Opens the page; what it complains about ends the test. */
export async function open(browser, url, { width = 1280, height = 800, features = [] } = {}) {
  const page = await browser.newPage();
  page.complaints = [];
  page.on("pageerror", (error) => page.complaints.push(String(error)));
  page.on("console", (message) => message.type() === "error" && page.complaints.push(message.text()));
  await page.setViewport({ width, height });
  if (features.length) await page.emulateMediaFeatures(features);
  await page.goto(url, { waitUntil: "load" });
  return page;
}

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** Waits until `condition` holds in the page. */
export async function until(page, what, condition, ...args) {
  try {
    await page.waitForFunction(condition, { timeout: 20000, polling: 50 }, ...args);
  } catch {
    throw new Error(`${what}: not within 20 s; ${page.complaints.join("; ")}`);
  }
}
