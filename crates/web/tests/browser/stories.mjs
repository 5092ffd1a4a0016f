// What somebody does on the pages: searches, goes through them with the keyboard alone, chooses a theme, and reads them
// without scripts.

import assert from 'node:assert/strict';
import { browser, open, site, story, words } from './browser.mjs';

const heading = (page) => words(page, 'h1');

async function search(page, text) {
  await page.fill('#q', text);
  await Promise.all([page.waitForNavigation(), page.press('#q', 'Enter')]);
}

await story('the search finds a build by the digest of its file', async () => {
  const page = await open('/');
  await search(page, site.digest);
  assert.ok((await words(page, 'main')).includes(site.artifact), await words(page, 'main'));
  assert.equal(await page.inputValue('#q'), site.digest, 'what was asked for stays in the field');
  await search(page, site.digest.slice(0, 12).toUpperCase());
  assert.ok((await words(page, 'main')).includes(site.artifact), 'the first digits will do');
  await Promise.all([page.waitForNavigation(), page.locator('main td[data-l=Build] a').first().click()]);
  assert.ok((await words(page, 'main')).includes(site.digest), 'the build shows the digest');
  await page.context().close();
});

await story('the search finds builds by package, jobs by text, and says when there is nothing', async () => {
  const page = await open('/');
  await search(page, site.package);
  assert.match(await words(page, 'main'), /Builds with this package/);
  await search(page, site.words);
  assert.ok(await page.locator(`main a:text-is("${site.job}")`).count() > 0, await words(page, 'main'));
  await search(page, '<b>nothing</b>');
  assert.match(await words(page, 'main'), /Nothing was found for <b>nothing<\/b>/);
  assert.deepEqual(page.seen.troubles, []);
  await page.context().close();
});

await story('the keyboard is enough', async () => {
  const page = await open('/');
  const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.className);
  await page.keyboard.press('Tab');
  assert.equal(await focused(), 'skip');
  assert.ok(await page.locator('.skip').evaluate((link) => link.getBoundingClientRect().top >= 0), 'it shows');
  const order = [];
  for (let step = 0; step < 4; step += 1) {
    await page.keyboard.press('Tab');
    order.push(await page.evaluate(() => document.activeElement.id || document.activeElement.className
      || document.activeElement.textContent.trim()));
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    assert.notEqual(outline, 'none', `the focus on ${order.at(-1)} can be seen`);
  }
  assert.deepEqual(order, ['brand', 'q', 'Search', 'theme']);
  await page.keyboard.press('/');
  assert.equal(await focused(), 'q', 'the slash leads to the search');
  await page.keyboard.type('a/b');
  assert.equal(await page.inputValue('#q'), 'a/b', 'and is a letter there');
  await page.context().close();
});

await story('the skip link leads past the head', async () => {
  const page = await open('/all-builds');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
  await page.keyboard.press('Tab');
  assert.ok(await page.evaluate(() => document.activeElement.closest('main') !== null), 'the next stop is content');
  await page.context().close();
});

await story('the theme is chosen, remembered, and follows the system again', async () => {
  const page = await open('/', { colorScheme: 'light' });
  const shown = async () => {
    const colour = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const [red, green, blue] = colour.match(/[\d.]+/g).map(Number);
    return red + green + blue > 382 ? 'light' : 'dark';
  };
  const button = page.locator('#theme');
  const seen = [[await button.innerText(), await shown()]];
  for (let step = 0; step < 2; step += 1) {
    await button.click();
    seen.push([await button.innerText(), await shown()]);
  }
  assert.deepEqual(seen, [['Theme: system', 'light'], ['Theme: light', 'light'], ['Theme: dark', 'dark']]);
  await page.goto('/failed-builds');
  assert.deepEqual([await button.innerText(), await shown()], ['Theme: dark', 'dark'], 'on another page, too');
  await button.click();
  assert.deepEqual([await button.innerText(), await shown()], ['Theme: system', 'light']);
  await page.emulateMedia({ colorScheme: 'dark' });
  assert.equal(await shown(), 'dark');
  await page.context().close();
});

await story('without scripts every page can be read, and searched from', async () => {
  for (const [name, path] of Object.entries(site.pages)) {
    const page = await open(path, { javaScriptEnabled: false });
    assert.ok((await heading(page)).length > 0, name);
    assert.ok((await words(page, 'main')).length > 40, name);
    assert.equal(await page.locator('#theme').isVisible(), false, 'a switch that does nothing is not shown');
    await page.context().close();
  }
  const page = await open('/', { javaScriptEnabled: false });
  await page.fill('#q', site.digest);
  await Promise.all([page.waitForNavigation(), page.click('.search button')]);
  assert.ok((await words(page, 'main')).includes(site.artifact));
  await page.context().close();
});

await story('two builds are compared in both directions', async () => {
  const page = await open(site.pages.build);
  await page.fill('#left', site.before);
  await Promise.all([page.waitForNavigation(), page.press('#left', 'Enter')]);
  assert.equal(new URL(page.url()).pathname, `/compare/${site.before}/${site.newest}`);
  const sides = async () => Object.fromEntries(await Promise.all(['left', 'right'].map(async (side) =>
    [side, await page.locator(`section[aria-labelledby=${side}] code.soft`).innerText()])));
  assert.deepEqual(await sides(), { left: site.before, right: site.newest });
  const changes = async () => ({
    removed: (await page.locator('main del').allInnerTexts()).filter((text) => /^\d/.test(text)),
    added: (await page.locator('main ins').allInnerTexts()).filter((text) => /^\d/.test(text)),
  });
  const there = await changes();
  assert.ok(there.removed.length > 0 && there.added.length > 0, JSON.stringify(there));
  // Each entry of the summary leads to a heading of the page.
  const anchors = await page.locator('nav[aria-label=Summary] a').evaluateAll((links) => links.map((link) => link.hash));
  assert.ok(anchors.length >= 4, anchors.join());
  for (const anchor of anchors) {
    await page.click(`nav[aria-label=Summary] a[href="${anchor}"]`);
    assert.equal(new URL(page.url()).hash, anchor);
    assert.ok(await page.locator(anchor).evaluate((title) => {
      const { top } = title.getBoundingClientRect();
      return top >= 0 && top < innerHeight;
    }), `${anchor} is to be seen`);
  }
  await Promise.all([page.waitForNavigation(), page.click('text=Swap left and right')]);
  assert.deepEqual(await sides(), { left: site.newest, right: site.before });
  const back = await changes();
  assert.deepEqual(back.removed.toSorted(), there.added.toSorted());
  assert.deepEqual(back.added.toSorted(), there.removed.toSorted());
  assert.deepEqual(page.seen.troubles, []);
  await page.context().close();
});

await story('a line of a console has an address', async () => {
  const page = await open(`${site.pages['long console']}#L17`);
  const marked = () => page.locator('.log div:target a').first().innerText();
  assert.equal(await marked(), '17');
  const background = (selector) => page.locator(selector).evaluate((line) => getComputedStyle(line).backgroundColor);
  assert.notEqual(await background('#L17'), await background('#L18'));
  await page.click('#L30 > a');
  assert.equal(new URL(page.url()).hash, '#L30');
  assert.equal(await marked(), '30');
  await page.fill('#goto', String(site.lines));
  await Promise.all([page.waitForNavigation(), page.press('#goto', 'Enter')]);
  assert.equal(await marked(), String(site.lines), 'a line of another part');
  assert.match(await words(page, `#L${site.lines}`), /Library "lwt.unix" not found/);
  await page.context().close();
});

await story('a long console comes in parts', async () => {
  const page = await open(site.pages['long console']);
  const seen = [];
  for (;;) {
    seen.push(...await page.locator('.log div[id] > a').allTextContents());
    const next = page.locator('main a[rel=next]').first();
    if (await next.count() === 0) break;
    await Promise.all([page.waitForNavigation(), next.click()]);
  }
  assert.deepEqual(seen.map(Number), Array.from({ length: site.lines }, (_, at) => at + 1), 'each line once, in order');
  await page.goto(site.pages['end of a long console']);
  assert.equal(await page.locator('.log div[id] > a').last().textContent(), String(site.lines));
  await page.context().close();
});

await story('a console has the colours of a terminal, by day and by night', async () => {
  const page = await open(site.pages.console, { colorScheme: 'light' });
  const colours = () => page.evaluate(() => ['a-red', 'a-green', 'a-blue', 'a-bold'].map((name) => {
    const span = document.createElement('span');
    span.className = name;
    document.querySelector('.log code').append(span);
    return getComputedStyle(span).color;
  }));
  const day = await colours();
  await page.emulateMedia({ colorScheme: 'dark' });
  const night = await colours();
  assert.equal(new Set([...day, ...night]).size, 8, [...day, ...night].join());
  assert.ok(await page.locator('.log .a-green').count() > 0);
  assert.equal((await words(page, '.log')).includes('\u001b'), false, 'no escape is left');
  await page.context().close();
});

await story('markup and scripts of strangers are text', async () => {
  for (const path of Object.values(site.pages)) {
    const page = await open(path);
    assert.equal(await page.evaluate(() => globalThis.stranger), undefined, path);
    assert.equal(await page.locator('main script, main object, main embed, main img[onerror]').count(), 0, path);
    await page.context().close();
  }
});
await browser.close();
