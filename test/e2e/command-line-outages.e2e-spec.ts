import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { importLines } from '../support/catalogue.js';
import { allCommands } from '../support/command-line.js';
import { createDatabase, sql, type TestDatabase } from '../support/database.js';
import { writePastColophon } from '../support/past-colophon.js';
import { BUSIEST_TURN_MS, start, TELL_VITAL_SIGNS, vitalSignsOf } from '../support/process.js';
import { createService, type TestService } from '../support/service.js';
import { TcpProxy } from '../support/tcp-proxy.js';

// The database goes away or freezes at some moment of a command. The command must end, and say in a line what happened.

const LINES = 2_000;
/** More than are skipped. */
const PARKED = 20;
let service: TestService;
let target: TestDatabase;
/** A change with one author. */
const change = randomUUID();
/** A stream with parked events. */
let parked: string;
let proxy: TcpProxy;
let folder: string;
beforeAll(async () => {
  service = await createService();
  await importLines(
    service,
    Array.from({ length: LINES }, (_, n) => ({ type: 'author', key: `a${n}`, name: `Author ${n}` })),
  );
  const headers = { 'x-correlation-id': change };
  await service.request('POST', '/authors', { body: { name: 'Author' }, headers });
  parked = `author-${randomUUID()}`;
  const newer = { stream: parked, type: 'AuthorPseudonymed', data: {}, metadata: {} };
  await writePastColophon(
    service.env,
    Array.from({ length: PARKED }, () => newer),
  );
  target = await createDatabase();
  // A copy of the template has the log of the template.
  await sql(target.url, 'drop schema event_store cascade');
  const { hostname, port } = new URL(service.database.url);
  proxy = await TcpProxy.to({ host: hostname, port: Number(port) });
  folder = mkdtempSync(join(tmpdir(), 'colophon-outages-'));
  const books = Array.from({ length: LINES }, (_, n) =>
    JSON.stringify({ type: 'book', key: `b${n}`, title: `Book ${n}`, authors: [{ author: `a${n}` }] }),
  );
  writeFileSync(join(folder, 'books.ndjson'), books.join('\n'));
});
afterAll(async () => {
  await proxy.close();
  await service.stop();
  await target.drop();
  rmSync(folder, { recursive: true });
});

/** What each command is given. A command of the program that is not here fails the first test. */
const COMMANDS: Record<string, () => readonly string[]> = {
  // First, while the log is short: a transfer makes an append for each event.
  transfer: () => ['--from', 'embedded', '--to', proxy.through(target.url)],
  import: () => [join(folder, 'books.ndjson')],
  replay: () => [],
  rebuild: () => ['--allow-parked'],
  verify: () => ['--repair'],
  'parked list': () => [],
  'parked show': () => [parked],
  'parked retry': () => [parked],
  'parked skip': () => [parked],
  revert: () => ['--dry-run', change],
  status: () => [],
  'token create': () => ['--subject', 'nightly', '--scopes', 'read'],
  'token list': () => [],
  'token revoke': () => [randomUUID()],
  migrate: () => [],
};

test('every command of the program is tried', async () => {
  const names = (await allCommands()).map((words) => words.join(' '));
  expect(Object.keys(COMMANDS).toSorted()).toEqual(names.toSorted());
});

/** What happens to the database, by the time at which it happens after the start of the command. */
const TROUBLES: readonly (readonly [moment: number, ...happens: (() => void)[]])[] = [
  [150, () => proxy.down()],
  [400, () => proxy.freeze(), () => proxy.pass()],
  [700, () => proxy.down()],
  [1_000, () => proxy.freeze(), () => proxy.down()],
];
const FROZEN_MS = 500;

test.each(Object.keys(COMMANDS))(
  '%s ends with a line and an exit code, whenever the database goes away, and its vital signs are good',
  async (name) => {
    const env = { ...service.env, DATABASE_URL: proxy.through(service.database.url), ...TELL_VITAL_SIGNS };
    for (const [moment, ...happens] of TROUBLES) {
      const running = start('dist/src/cli.js', [...name.split(' '), ...(COMMANDS[name]?.() ?? [])], env);
      let happened = false;
      const timers = happens.map((happen, n) =>
        setTimeout(
          () => {
            happened = true;
            happen();
          },
          moment + n * FROZEN_MS,
        ),
      );
      const code = await running.ended;
      for (const timer of timers) clearTimeout(timer);
      proxy.pass();
      const output = running.output();
      expect(output).not.toMatch(/^\s+at .*:\d+/m);
      expect(output).not.toMatch(/unhandled/i);
      const signs = vitalSignsOf(output);
      expect([moment, signs]).toEqual([moment, { ...signs, unheard: 0 }]);
      expect(signs.peakMegabytes).toBeLessThan(400);
      expect(signs.longestDelayMs).toBeGreaterThan(0);
      expect(signs.busiestTurnMs).toBeLessThan(BUSIEST_TURN_MS);
      const line = expect.stringMatching(/^(colophon: .+|\d+ still parked: .+)/m);
      if (code !== 0) expect([moment, code, output]).toEqual([moment, 1, line]);
      // The command was faster. It would also be faster than later troubles.
      if (!happened) break;
    }
  },
);

test('afterwards everything works', async () => {
  for (const args of [['import', join(folder, 'books.ndjson')], ['rebuild', '--allow-parked'], ['verify']]) {
    const running = start('dist/src/cli.js', args, service.env);
    expect([await running.ended, running.output()]).toEqual([0, expect.anything()]);
  }
});
