import { Client } from 'pg';
import { importLines } from '../support/catalogue.js';
import { serverUrl, sql } from '../support/database.js';
import { createService, send, type TestService } from '../support/service.js';

let service: TestService;
let ids: Record<string, string>;
beforeEach(async () => {
  service = await createService();
  ids = await importLines(service, [
    { type: 'author', key: 'lem', name: 'Lem, Stanisław' },
    { type: 'book', key: 'solaris', title: 'Solaris', authors: [{ author: 'lem' }] },
  ]);
});
afterEach(() => service.stop());

const get = (path: string) => service.request('GET', path);
const add = () => service.request('POST', '/authors', { body: { name: 'New' } });
const unavailable = { status: 503, body: { type: 'urn:colophon:problem:unavailable' } };

/** Holds a table, so that whoever reads it waits in the server, until it is released. */
async function lock(table: string): Promise<() => Promise<void>> {
  const client = new Client({ connectionString: service.database.url });
  await client.connect();
  await client.query(`begin; lock table ${table} in access exclusive mode`);
  return async () => {
    await client.query('rollback');
    await client.end();
  };
}

const waiting = async (text: string): Promise<number> => {
  const rows = await sql(
    service.database.url,
    `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%${text}%'`,
  );
  return rows.length;
};

test('lists that take long leave room for single reads and commands, and refuse callers when too many wait', async () => {
  const release = await lock('catalogue.books');
  const lists = Array.from({ length: 540 }, () => get('/books?limit=1'));
  while ((await waiting('from books b')) === 0);
  expect((await get(`/authors/${ids['lem']}`)).status).toBe(200);
  expect((await add()).status).toBe(201);
  const crowded = await Promise.race(lists);
  expect(crowded).toMatchObject({
    ...unavailable,
    body: { detail: 'Too many requests wait for the database; nothing was done.' },
  });
  expect(crowded.headers.get('retry-after')).toBe('1');
  await release();
  const statuses = (await Promise.all(lists)).map(({ status }) => status);
  expect(new Set(statuses)).toEqual(new Set([200, 503]));
});

test('readers of the log that take long leave room for commands and the tables', async () => {
  const release = await lock('event_store.events');
  const feeds = Array.from({ length: 60 }, () => get('/audit/events?types=Nope'));
  // Without an If-Match or a fresh id, a command reads its stream first.
  const renamed = service.request('PATCH', `/authors/${ids['lem']}`, { body: { name: 'Lem' } });
  // Each gives up after some seconds, so both may never wait at the same moment.
  for (let [stream, head] = [0, 0]; stream === 0 || head === 0;) {
    stream += await waiting('stream = any');
    head += await waiting('order by position desc');
  }
  expect((await get(`/authors/${ids['lem']}?include=books`)).status).toBe(200);
  await release();
  expect((await renamed).status).toBe(200);
  expect(new Set((await Promise.all(feeds)).map(({ status }) => status))).toEqual(new Set([200]));
});

test('a list whose caller left is stopped in the server', async () => {
  const release = await lock('catalogue.books');
  const caller = new AbortController();
  const list = fetch(`${service.url}/books`, { signal: caller.signal }).catch(() => 'left');
  while ((await waiting('from books b')) === 0);
  caller.abort();
  expect(await list).toBe('left');
  while ((await waiting('from books b')) > 0);
  await release();
  expect((await get('/books')).body.items).toHaveLength(1);
  expect(service.running.output()).not.toContain('the caller left');
});

describe('readiness', () => {
  /** Every session gets the setting: those that are there are ended. */
  async function set(setting: string): Promise<void> {
    const { name } = service.database;
    await sql(
      serverUrl(),
      `alter database ${name} ${setting}`,
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}'`,
    );
  }

  test('a database that is read-only is told, and commands are unavailable until it takes changes', async () => {
    expect((await get('/health/ready')).status).toBe(200);
    await set('set default_transaction_read_only to on');
    const detail = 'Commands do not work: the database of the events is read-only.';
    for (
      let answer = await get('/health/ready');
      answer.body.detail !== detail;
      answer = await get('/health/ready')
    );
    expect(await get('/health/ready')).toMatchObject(unavailable);
    expect(await add()).toMatchObject(unavailable);
    expect((await get(`/authors/${ids['lem']}`)).status).toBe(200);
    await set('reset default_transaction_read_only');
    while ((await get('/health/ready')).status !== 200);
    expect((await add()).status).toBe(201);
  });

  test('tables that stand still are told', async () => {
    await sql(
      service.database.url,
      `create function catalogue.refuse() returns trigger language plpgsql as $$
       begin raise exception 'not now' using errcode = '53100'; end $$`,
      'create trigger refuse before insert on catalogue.authors for each row execute function catalogue.refuse()',
    );
    expect((await add()).status).toBe(201);
    while ((await get('/health/ready')).status === 200);
    expect(await get('/health/ready')).toMatchObject({
      ...unavailable,
      body: { detail: 'The tables do not follow the log: GET /projections shows the error.' },
    });
    await sql(service.database.url, 'drop trigger refuse on catalogue.authors');
    while ((await get('/health/ready')).status !== 200);
  });

  test('a full disk is told until an append works again', async () => {
    await sql(
      service.database.url,
      `create function public.refuse() returns trigger language plpgsql as $$
       begin raise exception 'could not extend file' using errcode = 'disk_full'; end $$`,
      'create trigger refuse before insert on event_store.events for each row execute function public.refuse()',
    );
    expect(await add()).toMatchObject(unavailable);
    const detail = 'Commands do not work: the disk of the database of the events is full.';
    while ((await get('/health/ready')).body.detail !== detail);
    await sql(service.database.url, 'drop trigger refuse on event_store.events');
    while ((await send(`${service.url}/authors`, 'POST', { body: { name: 'After' } })).status !== 201);
    while ((await get('/health/ready')).status !== 200);
  });
});
