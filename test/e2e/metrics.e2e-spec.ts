import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { caughtUp } from '../support/catalogue.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { open } from '../support/raw-http.js';
import { ROOT, startService, type RunningService } from '../support/process.js';
import { send, type RequestOptions } from '../support/service.js';
import { TcpProxy } from '../support/tcp-proxy.js';

/** A service whose database is behind a network that fails on demand. */
let database: TestDatabase;
let proxy: TcpProxy;
let service: RunningService;
beforeAll(async () => {
  database = await createDatabase();
  const { hostname, port } = new URL(database.url);
  proxy = await TcpProxy.to({ host: hostname, port: Number(port) });
  service = await startService({ DATABASE_URL: proxy.through(database.url) });
});
afterAll(async () => {
  proxy.pass();
  service.process.kill('SIGTERM');
  await service.ended;
  await proxy.close();
  await database.drop();
});

const request = (method: string, path: string, options?: RequestOptions) =>
  send(`${service.url}${path}`, method, options);

interface Scrape {
  readonly names: readonly string[];
  /** By name and labels. */
  readonly values: Readonly<Record<string, number>>;
}

async function scrape(): Promise<Scrape> {
  const { status, headers, text } = await request('GET', '/metrics', {
    headers: { accept: 'application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4' },
  });
  expect([status, headers.get('content-type')]).toEqual([200, 'text/plain; version=0.0.4; charset=utf-8']);
  const samples = text.split('\n').filter((line) => /^\w/.test(line));
  return {
    names: [...text.matchAll(/^# TYPE (\w+) /gm)].map(([, name = '']) => name),
    values: Object.fromEntries(
      samples.map((line) => [
        line.slice(0, line.lastIndexOf(' ')),
        Number(line.slice(line.lastIndexOf(' '))),
      ]),
    ),
  };
}

/** Waits until all followers have the whole log. */
async function followed(): Promise<void> {
  await caughtUp({ request });
  for (const path of ['/projections/changes', '/policies']) while ((await request('GET', path)).body.lag > 0);
}

/** Requests of every kind, about other things in each round. */
async function round(n: number): Promise<void> {
  const id = `00000000-0000-7000-8000-${String(n).padStart(12, '0')}`;
  const headers = { 'idempotency-key': `key ${n}`, 'x-actor': `actor-${n}` };
  const body = { id, name: `Name ${n}` };
  for (let repeated = 0; repeated < 2; repeated += 1)
    expect(await request('POST', '/authors', { body, headers })).toMatchObject({ status: 201 });
  expect(await request('PATCH', `/authors/${id}`, { body: { name: body.name } })).toMatchObject({
    status: 200,
  });
  expect(await request('PATCH', `/authors/${id.replace(/^0/, '1')}`, { body: { name: 'x' } })).toMatchObject({
    status: 404,
  });
  const lines = [
    { type: 'author', key: `a${n}`, name: `Other ${n}` },
    { type: 'book', key: `b${n}`, title: `Title ${n}`, authors: [{ author: `a${n}` }] },
    { type: 'nothing', key: `c${n}` },
  ];
  const raw = lines.map((line) => JSON.stringify(line)).join('\n');
  const ndjson = { 'content-type': 'application/x-ndjson' };
  for (const query of ['?dryRun=true', ''])
    await request('POST', `/imports${query}`, { raw, headers: ndjson });
  for (const path of [`/no/such/${n}`, `/${id}`, `/authors/${id}/odd-${n}`])
    for (const method of ['GET', 'OPTIONS', 'DELETE']) await request(method, path);
  await followed();
  expect(await request('GET', `/authors/${id}?include=books`)).toMatchObject({ status: 200 });
}

let first: Scrape;
test('what commands, imports, followers and requests did is counted', async () => {
  await round(1);
  await scrape();
  first = await scrape();
  const { values } = first;
  const commands = Object.entries(values).filter(
    ([name, value]) => name.startsWith('colophon_commands_total') && value > 0,
  );
  expect(Object.fromEntries(commands)).toEqual({
    'colophon_commands_total{command="AddAuthor",outcome="done"}': 1,
    'colophon_commands_total{command="AddAuthor",outcome="repeated"}': 1,
    'colophon_commands_total{command="RenameAuthor",outcome="unchanged"}': 1,
    'colophon_commands_total{command="RenameAuthor",outcome="refused"}': 1,
  });
  expect(values).toMatchObject({
    'colophon_command_duration_seconds_count{command="AddAuthor"}': 2,
    'colophon_appends_total{outcome="written"}': 3,
    colophon_appended_events_total: 4,
    colophon_appends_settled_total: 0,
    colophon_append_group_size_sum: 3,
    'colophon_import_lines_total{outcome="added"}': 2,
    'colophon_import_lines_total{outcome="failed"}': 1,
    'colophon_http_request_duration_seconds_count{method="POST",route="/authors",status="2xx"}': 2,
    'colophon_http_request_duration_seconds_count{method="POST",route="/imports",status="2xx"}': 2,
    'colophon_http_request_duration_seconds_count{method="PATCH",route="/authors/:id",status="4xx"}': 1,
    'colophon_http_request_duration_seconds_count{method="GET",route="/authors/:id",status="2xx"}': 1,
    'colophon_dependency_up{dependency="postgresql"}': 1,
    'colophon_dependency_up{dependency="event_store"}': 1,
    colophon_policy_tasks_open: 0,
  });
  for (const follower of ['catalogue', 'changes', 'policies'])
    expect(values).toMatchObject({
      // Policies leave out what they don't need of a log that was there before them.
      [`colophon_follower_batch_events_sum{follower="${follower}"}`]:
        follower === 'policies' ? expect.any(Number) : 4,
      [`colophon_follower_lag_positions{follower="${follower}"}`]: 0,
      [`colophon_follower_lag_seconds{follower="${follower}"}`]: 0,
      [`colophon_follower_leader{follower="${follower}"}`]: 1,
      [`colophon_follower_standstill_seconds{follower="${follower}"}`]: 0,
      [`colophon_follower_parked{follower="${follower}"}`]: 0,
    });
  const pools = Object.keys(values).flatMap(
    (name) => /^colophon_pool_waiting\{pool="(\w+)"/.exec(name)?.[1] ?? [],
  );
  expect(pools.toSorted()).toEqual([
    'commands',
    'feeds',
    'followers',
    'keys',
    'lists',
    'operations',
    'policies',
    'reads',
    'searches',
  ]);
});

test('labels are bounded: the same requests about other things give no new series', async () => {
  const seriesOf = ({ values }: Scrape) =>
    Object.keys(values)
      .filter((name) => name.startsWith('colophon_'))
      .toSorted();
  for (const n of [2, 3]) await round(n);
  expect(seriesOf(await scrape())).toEqual(seriesOf(first));
});

test('every metric has a value, is documented, and the dashboard and the alerts name no others', () => {
  const { names, values } = first;
  const page = readFileSync(join(ROOT, 'docs', 'operations.md'), 'utf8');
  const [, section = ''] = /\n## Metrics\n([\s\S]*?)\n## /.exec(page) ?? [];
  const documented = [...section.matchAll(/`((?:colophon|nodejs|process)_\w+)…?`/g)].map(
    ([quoted, name = '']) => ({
      name,
      open: quoted.includes('…'),
    }),
  );
  for (const name of names) {
    const samples = Object.keys(values).filter((sample) => sample.startsWith(name));
    const told = documented.some((one) => (one.open ? name.startsWith(one.name) : name === one.name));
    expect({ name, shown: samples.length > 0, told }).toEqual({ name, shown: true, told: true });
  }
  for (const { name, open } of documented)
    expect(open ? names.filter((one) => one.startsWith(name)) : names).toContainEqual(
      open ? expect.stringContaining(name) : name,
    );
  const used = readdirSync(join(ROOT, 'docs', 'monitoring')).map((file) => ({
    file,
    text: readFileSync(join(ROOT, 'docs', 'monitoring', file), 'utf8'),
  }));
  const series = Object.keys(values);
  for (const { file, text } of used) {
    const found = [...text.matchAll(/\b((?:colophon|nodejs|process)_\w+)(?:\{((?:[^}\\]|\\.)*)\})?/g)];
    expect(found.length).toBeGreaterThan(10);
    for (const [, name = '', selector = ''] of found) {
      const own = series.filter((one) => one === name || one.startsWith(`${name}{`));
      expect({ file, name, shown: own.length > 0 }).toEqual({ file, name, shown: true });
      // Prometheus itself adds the job and the instance.
      for (const [, label = ''] of selector.matchAll(/(\w+)(?:!?=)/g))
        if (!['job', 'instance'].includes(label))
          expect({ name, label, shown: own.some((one) => one.includes(`${label}="`)) }).toEqual({
            name,
            label,
            shown: true,
          });
    }
  }
  // Every metric of Colophon's own is on the dashboard or in an alert.
  for (const name of names.filter((one) => one.startsWith('colophon_')))
    expect({ name, used: used.some(({ text }) => text.includes(name)) }).toEqual({ name, used: true });
});

test('a request without a whole answer is counted as aborted, at its route', async () => {
  const { socket, received } = open(service.url);
  const line = `${JSON.stringify({ type: 'author', key: 'left', name: 'Left' })}\n`;
  socket.write(
    'POST /imports HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n' +
      `Transfer-Encoding: chunked\r\n\r\n${line.length.toString(16)}\r\n${line}\r\n`,
  );
  while (!received().includes('"added"')) await new Promise((again) => setTimeout(again, 5));
  socket.destroy();
  const aborted =
    'colophon_http_request_duration_seconds_count{method="POST",route="/imports",status="aborted"}';
  let { values } = await scrape();
  while (values[aborted] === undefined) ({ values } = await scrape());
  expect(values[aborted]).toBe(1);
});

test('a scrape while PostgreSQL is silent answers what it can, and the next one all of it', async () => {
  proxy.freeze();
  const { values } = await scrape();
  expect(values).toMatchObject({
    'colophon_dependency_up{dependency="postgresql"}': 0,
    'colophon_dependency_up{dependency="event_store"}': 0,
    'colophon_commands_total{command="AddAuthor",outcome="done"}': 3,
  });
  expect(
    Object.keys(values).filter(
      (name) => /_lag_(pos|sec)|_parked|rebuild/.test(name) && name.startsWith('colophon'),
    ),
  ).toEqual([]);
  proxy.pass();
  for (;;) {
    const { values: again } = await scrape();
    if (again['colophon_dependency_up{dependency="postgresql"}'] === 1) break;
  }
});
