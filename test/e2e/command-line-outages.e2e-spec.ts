import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { importLines } from '../support/catalogue.js';
import { start } from '../support/process.js';
import { createService, type TestService } from '../support/service.js';
import { TcpProxy } from '../support/tcp-proxy.js';

// The database goes away at some moment of a command. The command must end, and say in a line what happened.

const LINES = 4_000;
const MOMENTS_MS = [150, 400, 700, 1_000];
let service: TestService;
let proxy: TcpProxy;
let folder: string;
beforeAll(async () => {
  service = await createService();
  await importLines(
    service,
    Array.from({ length: LINES }, (_, n) => ({ type: 'author', key: `a${n}`, name: `Author ${n}` })),
  );
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
  rmSync(folder, { recursive: true });
});

const commands: [string, () => string[]][] = [
  ['import', () => ['import', join(folder, 'books.ndjson')]],
  ['replay', () => ['replay']],
  ['rebuild', () => ['rebuild']],
  ['verify', () => ['verify', '--repair']],
  ['parked', () => ['parked', 'list']],
  ['status', () => ['status']],
  ['migrate', () => ['migrate']],
];

test.each(commands)(
  '%s ends with a line and an exit code, whenever the database goes away',
  async (_, args) => {
    const env = { ...service.env, DATABASE_URL: proxy.through(service.database.url) };
    for (const moment of MOMENTS_MS) {
      const running = start('dist/src/cli.js', args(), env);
      const away = setTimeout(() => proxy.down(), moment);
      const code = await running.ended;
      clearTimeout(away);
      proxy.pass();
      const output = running.output();
      expect(output).not.toMatch(/^\s+at .*:\d+/m);
      expect(output).not.toMatch(/unhandled/i);
      if (code === 0) continue;
      expect([moment, code, output]).toEqual([moment, 1, expect.stringMatching(/^colophon: .+/m)]);
    }
  },
);

test('afterwards everything works', async () => {
  for (const args of [['import', join(folder, 'books.ndjson')], ['rebuild'], ['verify']]) {
    const running = start('dist/src/cli.js', args, service.env);
    expect([await running.ended, running.output()]).toEqual([0, expect.anything()]);
  }
});
