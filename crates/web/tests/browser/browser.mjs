// What every script of this folder begins with: the site that the test tells of on standard input, a browser, and pages
// that are watched. It leaves what is expected to the scripts, and what is on the site to the test that starts them.
//
// The packages lie in the target folder, where this file would not find them by itself.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(`${process.env.BROWSER_PACKAGES}/`);
const { chromium } = require('playwright-core');

/** `{ url, pages: { name: path }, … }` */
export const site = JSON.parse(readFileSync(0, 'utf8'));
/** The source of axe-core, to be run in a page. */
export const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
export const DESKTOP = { width: 1280, height: 900 };
/** As narrow as pages have to work, by the rule on reflow of WCAG 2.2 (1.4.10). */
export const PHONE = { width: 320, height: 640 };

export const browser = await chromium.launch({
  executablePath: process.env.BROWSER_PROGRAM,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});

/** Opens a page of the site in a fresh profile. Its `seen` holds what went over the line and what went wrong. */
export async function open(path, options = {}) {
  const { url: baseURL, credentials: httpCredentials } = site;
  const context = await browser.newContext(
    { viewport: DESKTOP, baseURL, httpCredentials, reducedMotion: 'reduce', ...options });
  const page = await context.newPage();
  page.seen = { requests: [], troubles: [] };
  page.on('request', (request) => {
    // The icon and other pictures stand in the page itself.
    if (!request.url().startsWith('data:')) page.seen.requests.push(request.url());
  });
  page.on('console', (message) => {
    const isStatus = message.text().startsWith('Failed to load resource: the server responded with a status of');
    if (message.type() === 'error' && !isStatus) page.seen.troubles.push(message.text());
  });
  page.on('pageerror', (error) => page.seen.troubles.push(String(error)));
  page.answer = await page.goto(path);
  return page;
}

/** Runs a story: what it throws is shown, and ends the program with an error. */
export async function story(name, work) {
  try {
    await work();
    console.log(`ok ${name}`);
  } catch (error) {
    console.log(`FAILED ${name}: ${error.stack}`);
    process.exitCode = 1;
  }
}

/** What the page shows, word by word. */
export const words = async (page, selector = 'body') => (await page.innerText(selector)).replace(/\s+/g, ' ').trim();
