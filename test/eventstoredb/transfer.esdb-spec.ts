import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { caughtUp } from '../support/catalogue.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { eventStoreDbUrl, newPrefix } from '../support/eventstoredb.js';
import { ROOT, start, startService, type RunningService } from '../support/process.js';
import { send } from '../support/service.js';

let database: TestDatabase;
let prefix: string;
let drop: () => Promise<void>;
let service: RunningService | undefined;
beforeAll(async () => {
  database = await createDatabase();
  ({ prefix, drop } = await newPrefix());
});
afterAll(async () => {
  service?.process.kill('SIGTERM');
  await service?.ended;
  await drop();
  await database.drop();
});

const inPostgres = () => ({ DATABASE_URL: database.url });
const inEventStoreDb = () => ({
  ...inPostgres(),
  EVENTSTOREDB_URL: eventStoreDbUrl(),
  EVENTSTOREDB_PREFIX: prefix,
});
const serve = async (env: Record<string, string>) => {
  service?.process.kill('SIGTERM');
  await service?.ended;
  service = await startService(env);
};
const get = async (path: string, headers: Record<string, string> = {}) =>
  send(`${service?.url}${path}`, 'GET', { headers });
const request = (method: string, path: string, options: object = {}) =>
  send(`${service?.url}${path}`, method, options);
const program = (env: Record<string, string>, ...args: string[]) => start('dist/src/cli.js', args, env);
const transfer = () =>
  program(
    { ...inPostgres(), EVENTSTOREDB_PREFIX: prefix },
    'transfer',
    '--from',
    'embedded',
    '--to',
    eventStoreDbUrl(),
  );

/** Everything an auditor sees, but for the place in the log. */
const audit = async () => {
  const { text } = await get('/audit/events', { accept: 'application/x-ndjson' });
  return text
    .trim()
    .split('\n')
    .map((line) => {
      const { position: _, ...event } = JSON.parse(line) as Record<string, unknown>;
      return event;
    });
};

test('a log moves from PostgreSQL to EventStoreDB, and nobody can tell by its answers', async () => {
  await serve(inPostgres());
  await request('POST', '/imports', {
    raw: readFileSync(join(ROOT, 'samples', 'classics.ndjson'), 'utf8'),
    headers: { 'content-type': 'application/x-ndjson', 'x-actor': 'librarian' },
  });
  const added = await request('POST', '/authors', {
    body: { name: 'Moved' },
    headers: { 'idempotency-key': 'move', reason: 'a%20test' },
  });
  await request('PATCH', `/authors/${added.body.id}`, { body: { name: 'Moved on' } });
  await caughtUp({ request });
  const before = await audit();
  const books = (await get('/books?limit=500&include=authors')).body;
  service?.process.kill('SIGTERM');
  await service?.ended;

  // Killed on the way, twice; then it is let through.
  for (const part of [40, 150]) {
    const broken = transfer();
    const copied = async () => {
      const replay = program({ ...inEventStoreDb(), CATALOGUE_SCHEMA: 'aside' }, 'replay');
      await replay.ended;
      return replay.output().split('\n').length - 1;
    };
    let ended = false;
    void broken.ended.then(() => (ended = true));
    while (!ended && (await copied()) < part);
    broken.process.kill('SIGKILL');
    await broken.ended;
  }
  const moved = transfer();
  expect(await moved.ended).toBe(0);
  expect(moved.output()).toContain(
    `both logs hold the same ${before.length} events and give the same tables`,
  );
  const again = transfer();
  expect(await again.ended).toBe(0);
  expect(again.output()).toMatch(/^0 events copied/);

  // The tables in place were made from the other log.
  const refused = start('dist/src/main.js', [], { PORT: '0', ...inEventStoreDb() });
  expect(await refused.ended).toBe(1);
  expect(refused.output()).toMatch(
    /^colophon: the tables in schema catalogue were made from another log; rebuild them from this log with `colophon rebuild`, or set CATALOGUE_SCHEMA to another schema\n$/,
  );
  expect(await program(inEventStoreDb(), 'rebuild').ended).toBe(0);

  await serve(inEventStoreDb());
  // But by what operators did since, which the copy tells of itself.
  const after = await audit();
  expect(after.slice(0, before.length)).toEqual(before);
  expect(after.slice(before.length)).toMatchObject([
    {
      type: 'LogTransferred',
      data: { from: expect.stringMatching(/^[\da-f-]{36}$/), events: before.length },
    },
    { type: 'TablesRebuilt', data: { projection: 'catalogue' } },
    { type: 'TablesRebuilt', data: { projection: 'changes' } },
  ]);
  expect((await get('/books?limit=500&include=authors')).body).toEqual(books);

  // A position of the old log means nothing here, and says so.
  const stale = await get('/authors', { 'min-position': added.body.position });
  expect(stale).toMatchObject({
    status: 400,
    body: { errors: [{ pointer: 'header/Min-Position', rule: 'position' }] },
  });
  // The memory of commands came along.
  const repeated = await request('POST', '/authors', {
    body: { name: 'Moved' },
    headers: { 'idempotency-key': 'move', reason: 'a%20test' },
  });
  expect(repeated).toMatchObject({ status: 201, body: { id: added.body.id, revision: '0' } });
  // And the log goes on.
  const renamed = await request('PATCH', `/authors/${added.body.id}`, { body: { name: 'Settled' } });
  expect(renamed).toMatchObject({ status: 200, body: { revision: '2' } });
  await caughtUp({ request });
  expect((await get(`/authors/${added.body.id}`)).body.name).toBe('Settled');

  // Now the target holds more than the source: it is no copy any longer.
  const late = transfer();
  expect(await late.ended).toBe(1);
  expect(late.output()).toContain('the target holds AuthorRenamed 2 of');
}, 180_000);
