import { setTimeout } from 'node:timers/promises';
import { caughtUp } from '../support/catalogue.js';
import { sql } from '../support/database.js';
import { start } from '../support/process.js';
import { createService, type TestService } from '../support/service.js';

// What an operator sees who puts an old backup of the log in place, beside tables that are further.

let service: TestService;
beforeEach(async () => {
  service = await createService();
});
afterEach(() => service.stop());

const sqlOf = <Row extends object>(...statements: string[]) => sql<Row>(service.database.url, ...statements);
const add = async (name: string): Promise<string> =>
  (await service.request('POST', '/authors', { body: { name } })).body.id;
const get = (path: string, headers: Record<string, string> = {}) => service.request('GET', path, { headers });
const untilReady = async (status: number) => {
  while ((await get('/health/ready')).status !== status) await setTimeout(50);
};
/** Takes the last events away, as an old backup would. @returns puts them back. */
const goBack = async (events: number): Promise<() => Promise<unknown>> => {
  await sqlOf(
    'create table kept as select * from event_store.events',
    `delete from event_store.events where position > (select max(position) - ${events} from event_store.events)`,
  );
  return () => sqlOf('truncate event_store.events', 'insert into event_store.events select * from kept');
};

const RED = expect.stringMatching(
  /^the log went back or was replaced, it has no event \S+ at position \d+: put the right log back, or rebuild/,
);

test('a log that went back is red until the tables are rebuilt, and the service goes on without a restart', async () => {
  await add('Anna');
  const gone = await add('Berta');
  await caughtUp(service);
  await goBack(1);
  await untilReady(503);
  expect((await get('/health/ready')).body.detail).toBe(
    'The log of the event store went back or was replaced, so it does not match the tables.',
  );
  expect((await get('/projections')).body.items[0]).toMatchObject({ error: RED, lag: 0 });

  // The log is as far again, by another event: a position alone would not tell.
  const { body } = await service.request('POST', '/authors', { body: { name: 'Clara' } });
  expect((await get('/health/ready')).status).toBe(503);
  expect((await get(`/authors/${body.id}`, { 'min-position': body.position })).status).toBe(503);
  const verification = start('dist/src/cli.js', ['verify'], service.env);
  expect(await verification.ended).toBe(1);
  expect(verification.output()).toContain('the log went back or was replaced');

  expect(await start('dist/src/cli.js', ['rebuild'], service.env).ended).toBe(0);
  await untilReady(200);
  expect((await get(`/authors/${body.id}`, { 'min-position': body.position })).status).toBe(200);
  expect((await get(`/authors/${gone}`)).status).toBe(404);
  expect((await get('/projections')).body.items[0]).toMatchObject({ error: null, lag: 0 });
});

test('a log that was emptied is red until the right log is back', async () => {
  await add('Anna');
  const { body } = await service.request('POST', '/authors', { body: { name: 'Berta' } });
  await caughtUp(service);
  const putBack = await goBack(2);
  await untilReady(503);
  expect((await get('/projections')).body.items[0]).toMatchObject({ error: RED, head: null, lag: 0 });
  await putBack();
  await untilReady(200);
  const renamed = await service.request('PATCH', `/authors/${body.id}`, { body: { name: 'Clara' } });
  expect((await get(`/authors/${body.id}`, { 'min-position': renamed.body.position })).body).toMatchObject({
    name: 'Clara',
  });
});

test('a start finds that the log went back while nobody followed', async () => {
  await add('Anna');
  await add('Berta');
  await caughtUp(service);
  service.running.process.kill('SIGSTOP');
  await goBack(1);
  await service.restart('SIGKILL');
  await untilReady(503);
  expect((await get('/projections')).body.items[0].error).toEqual(RED);
});

test('tables that name no event are taken as they are, and name one with the next batch', async () => {
  await add('Anna');
  await caughtUp(service);
  await sqlOf('update catalogue.checkpoint set event_id = null');
  await service.restart();
  await add('Berta');
  await caughtUp(service);
  const [named] = await sqlOf<{ same: boolean }>(
    `select event_id = (select id from event_store.events order by position desc limit 1) as same
     from catalogue.checkpoint`,
  );
  expect(named).toEqual({ same: true });
});

test('an instance that stands by is red too', async () => {
  const other = await createService({ DATABASE_URL: service.database.url });
  try {
    await add('Anna');
    await caughtUp(service);
    await goBack(1);
    await untilReady(503);
    while ((await other.request('GET', '/health/ready')).status !== 503) await setTimeout(50);
    const active = async ({ request }: TestService) =>
      (await request('GET', '/projections')).body.items[0].active as boolean;
    expect([await active(service), await active(other)]).toEqual([false, false]);
  } finally {
    await other.stop();
  }
});
