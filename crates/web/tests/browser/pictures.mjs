// Takes the pictures of the documentation: the pages of the site that the test tells of, by day and by night, on a desk
// and in a hand. `site.pictures` says where to and in which format; WebP is half of what PNG weighs.

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { browser, open, site } from './browser.mjs';

const DESK = { width: 1200, height: 780 };
const HAND = { width: 390, height: 780 };
/** What one picture may weigh, in bytes. */
const PICTURE_BYTES_MAX = 60_000;
/** Of 100: letters stay sharp. */
const QUALITY = 72;

const { folder, format } = site.pictures;
for (const [name, path] of Object.entries(site.pages)) {
  for (const colorScheme of ['light', 'dark']) {
    for (const [form, viewport] of [['desktop', DESK], ['phone', HAND]]) {
      const page = await open(path, { colorScheme, viewport });
      const session = await page.context().newCDPSession(page);
      const { data } = await session.send('Page.captureScreenshot', { format, quality: QUALITY, optimizeForSpeed: false });
      const picture = Buffer.from(data, 'base64');
      const file = `${name}-${form}-${colorScheme}.${format}`;
      const isHeavy = format === 'webp' && picture.length > PICTURE_BYTES_MAX;
      console.log(`${isHeavy ? 'TOO HEAVY' : 'ok'} ${file} ${picture.length} bytes`);
      await writeFile(join(folder, file), picture);
      await page.context().close();
    }
  }
}
await browser.close();
