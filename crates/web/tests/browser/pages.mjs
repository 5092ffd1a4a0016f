// Every page of the site, light on a wide window and dark on a narrow one: one request, nothing refused by its
// policy, no script that breaks, not heavy, no scrolling to the side, and nothing that axe-core finds.

import assert from 'node:assert/strict';
import { axe, browser, DESKTOP, open, PHONE, site, story } from './browser.mjs';

/** What may go over the line for one page, in bytes. */
const PAGE_BYTES_MAX = 50_000;
/** Where lists are tables and room is short, in pixels. */
const TABLET_WIDTH = 768;

async function isWhole(path, colorScheme, viewport) {
  const page = await open(path, { colorScheme, viewport });
  assert.deepEqual(page.seen.requests, [new URL(path, site.url).href], 'a page is one request');
  const { responseBodySize } = await page.answer.request().sizes();
  assert.ok(responseBodySize <= PAGE_BYTES_MAX, `${responseBodySize} bytes`);
  for (const width of viewport === PHONE ? [PHONE.width, TABLET_WIDTH] : [viewport.width]) {
    await page.setViewportSize({ ...viewport, width });
    assert.deepEqual(await tooWide(page), [], `the page is wider than ${width} pixels`);
  }
  assert.deepEqual(page.seen.troubles, []);
  await page.context().close();
}

/** What does not fit into the window, when all is unfolded: frames and details load when somebody looks at them. */
const tooWide = (page) => page.evaluate(() => {
  document.querySelectorAll('details').forEach((details) => { details.open = true });
  const width = document.documentElement.clientWidth;
  const scrolls = (element) => element && element !== document.documentElement &&
    (/auto|scroll|hidden/.test(getComputedStyle(element).overflowX) || scrolls(element.parentElement));
  if (document.documentElement.scrollWidth <= width) return [];
  const all = [...document.querySelectorAll('body *')];
  const wide = all.filter((element) => element.getBoundingClientRect().right > width + 1 && !scrolls(element));
  return [document.documentElement.scrollWidth, ...wide.slice(-3).map((element) => element.outerHTML.slice(0, 200))];
});

async function isAccessible(path, colorScheme, viewport) {
  // The policy would keep axe-core out, too.
  const page = await open(path, { colorScheme, viewport, bypassCSP: true });
  await page.evaluate(() => document.querySelectorAll('details').forEach((details) => { details.open = true }));
  await page.evaluate(axe);
  const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  const lines = found.violations.flatMap(({ id, nodes }) =>
    nodes.slice(0, 3).map(({ html, failureSummary }) => `${id}: ${html.slice(0, 200)}: ${failureSummary}`));
  assert.deepEqual(lines, []);
  // Somebody who listens hears heading and count as one text.
  const together = await page.evaluate(() => [...document.querySelectorAll(':is(h2, h3) .count')]
    .map((count) => count.parentElement.textContent.slice(0, -count.textContent.length))
    .filter((heading) => !/\s$/.test(heading)));
  assert.deepEqual(together, [], 'a heading runs into its count');
  await page.context().close();
}

// Colours do not change the shape of a page, nor does its shape change the colours: two of the four will do.
for (const [name, path] of Object.entries(site.pages)) {
  for (const [form, scheme, viewport] of [['desktop', 'light', DESKTOP], ['phone', 'dark', PHONE]]) {
    await story(`${name}, ${scheme}, ${form}: whole`, () => isWhole(path, scheme, viewport));
    await story(`${name}, ${scheme}, ${form}: accessible`, () => isAccessible(path, scheme, viewport));
  }
}
await browser.close();
