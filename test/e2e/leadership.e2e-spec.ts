import { Client } from 'pg';
import { caughtUp } from '../support/catalogue.js';
import { startService, type RunningService } from '../support/process.js';
import { createService, send, type TestService } from '../support/service.js';

let service: TestService;
beforeEach(async () => {
  service = await createService();
});
afterEach(() => service.stop());

const projectionOf = async (url: string) => (await send(`${url}/projections`, 'GET')).body.items[0];

test('a leader that is frozen is relieved, and changes nothing when it wakes', async () => {
  const other: RunningService = await startService(service.env);
  try {
    const request = (method: string, path: string, options?: object) =>
      send(`${other.url}${path}`, method, options);
    expect((await projectionOf(service.url)).active).toBe(true);
    // Frozen in the middle of its work as well as between two batches.
    const underWay = Promise.all(
      Array.from({ length: 50 }, (_, n) =>
        service.request('POST', '/authors', { body: { name: `Author ${n}` } }).catch(() => undefined),
      ),
    );
    service.running.process.kill('SIGSTOP');
    try {
      const { body } = await request('POST', '/authors', { body: { name: 'Anna' } });
      await caughtUp({ request });
      expect((await request('GET', `/authors/${body.id}`)).status).toBe(200);
      expect(await projectionOf(other.url)).toMatchObject({ active: true, error: null });
    } finally {
      service.running.process.kill('SIGCONT');
    }
    // What the frozen process was asked before is answered now that it is awake.
    await underWay;
    const { body } = await request('POST', '/authors', { body: { name: 'Berta' } });
    await caughtUp(service);
    expect((await service.request('GET', `/authors/${body.id}`)).status).toBe(200);
    expect(await projectionOf(other.url)).toMatchObject({ active: true, parked: 0, lag: 0 });
    expect(await projectionOf(service.url)).toMatchObject({ active: false, error: null });
  } finally {
    other.process.kill('SIGTERM');
    await other.ended;
  }
});

test('a reader who holds a row that the projection needs is named, until the row is free', async () => {
  const { id } = (await service.request('POST', '/authors', { body: { name: 'Anna' } })).body;
  await caughtUp(service);
  const reader = new Client({ connectionString: service.database.url, application_name: 'a report' });
  await reader.connect();
  await reader.query(`begin; select from catalogue.authors for update`);
  const auditor = new Client({ connectionString: service.database.url, application_name: 'an audit' });
  await auditor.connect();
  await auditor.query(`begin; select from catalogue_changes.checkpoint for update`);
  await service.request('PATCH', `/authors/${id}`, { body: { name: 'Berta' } });
  const get = (path: string) => service.request('GET', path);
  const status = async () => projectionOf(service.url);
  const ofChanges = async () => (await get('/projections/changes')).body;
  for (const one of [status, ofChanges])
    while ((await one()).error === null) await new Promise((again) => setTimeout(again, 200));
  for (const one of [status, ofChanges]) expect((await one()).lagSeconds).toBeGreaterThan(0);
  expect((await get('/health/ready')).status).toBe(503);
  expect(await status()).toMatchObject({
    error: expect.stringMatching(/^waiting for a lock held by pid \d+ \(a report, /),
    errorSince: expect.any(String),
  });
  expect(service.running.output()).toContain('waiting for a lock held by pid');
  await reader.query('rollback');
  await reader.end();
  await caughtUp(service);
  expect((await service.request('GET', `/authors/${id}`)).body.name).toBe('Berta');
  expect(await status()).toMatchObject({ error: null, lagSeconds: 0 });

  // Only audit answers by index need the other projection.
  expect((await ofChanges()).error).toMatch(/^waiting for a lock held by pid \d+ \(an audit, /);
  expect((await get('/health/ready')).status).toBe(200);
  expect((await get('/audit/events')).body.items).toHaveLength(2);
  for (const path of ['/audit/events?actor=a', `/audit/authors/${id}`, `/changes/${id}`])
    expect(await get(path)).toMatchObject({
      status: 503,
      body: { detail: 'The tables of changes do not follow the log: GET /projections shows the error.' },
    });
  await auditor.query('rollback');
  await auditor.end();
  while ((await ofChanges()).error !== null) await new Promise((again) => setTimeout(again, 200));
  expect((await get(`/audit/events?author=${id}`)).body.items).toHaveLength(2);
});

test('a server that was away for a moment is forgotten by a standby too', async () => {
  const other = await startService(service.env);
  try {
    const admin = new Client({ connectionString: service.database.url });
    await admin.connect();
    const cut = () =>
      admin.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid()`,
      );
    for (let n = 0; n < 20; n += 1) {
      await cut();
      await new Promise((again) => setTimeout(again, 100));
    }
    await admin.end();
    for (const url of [service.url, other.url])
      while ((await send(`${url}/projections`, 'GET')).body?.items?.[0]?.error !== null)
        await new Promise((again) => setTimeout(again, 100));
    expect(
      [(await projectionOf(service.url)).active, (await projectionOf(other.url)).active].toSorted(),
    ).toEqual([false, true]);
  } finally {
    other.process.kill('SIGTERM');
    await other.ended;
  }
});
