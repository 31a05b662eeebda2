import { randomUUID } from 'node:crypto';
import { EventStoreDBClient, jsonEvent, NO_STREAM, START, streamNameFilter } from '@eventstore/db-client';
import { Pool } from 'pg';
import { catalogue } from '../../projections/catalogue/catalogue.projection.js';
import { Maintenance } from '../../projections/maintenance.js';
import { Projector } from '../../projections/projector.js';
import { EventStoreDbEventStore } from '../../src/event-store/eventstoredb/eventstoredb-event-store.js';
import { newEvent, newStream } from '../support/events.js';
import { median, report, round, withServer } from './support.js';

// The EventStoreDB side, beside its client with nothing of ours around it, in turns. Needs EVENTSTOREDB_URL.
const ROUNDS = 3;
const SECONDS = 3;
const EVENTS = 100_000;
const PER_STREAM = 10;

const url = process.env['EVENTSTOREDB_URL'] ?? '';
const prefix = `bench-${Date.now()}-`;
const store = new EventStoreDbEventStore(url, prefix);
const client = EventStoreDBClient.connectionString(url);
// Credentials take the client off its batch path; an insecure node ignores them.
const credentials = { username: 'bench', password: 'bench' };

async function rate(callers: number, call: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  const end = started + SECONDS * 1_000;
  let calls = 0;
  const caller = async () => {
    for (; performance.now() < end; calls += 1) await call();
  };
  await Promise.all(Array.from({ length: callers }, caller));
  return (calls * 1_000) / (performance.now() - started);
}

const port = () => store.append(newStream(), 'no-stream', [newEvent()]);
const bare = () => {
  const { id, type, data, metadata } = newEvent();
  const event = jsonEvent({ id, type, data: { ...data }, metadata: { ...metadata } });
  return client.appendToStream(`${prefix}bare-${randomUUID()}`, event, {
    expectedRevision: NO_STREAM,
    credentials,
  });
};
const appends = [];
for (const callers of [1, 16, 64]) {
  await rate(callers, port);
  const rates: { port: number; bare: number }[] = [];
  for (let n = 0; n < ROUNDS; n += 1)
    rates.push({ port: await rate(callers, port), bare: await rate(callers, bare) });
  appends.push({
    callers,
    'port, appends/s': round(median(rates.map((one) => one.port))),
    'bare client, appends/s': round(median(rates.map((one) => one.bare))),
    ratio: round(median(rates.map((one) => one.port / one.bare)), 2),
  });
}
report('eventstoredb append', appends);

// A log of its own, so that both count the same events.
const log = new EventStoreDbEventStore(url, `${prefix}log-`);
let written = 0;
await Promise.all(
  Array.from({ length: 32 }, async () => {
    while (written < EVENTS) {
      written += PER_STREAM;
      const events = Array.from({ length: PER_STREAM }, (_, n) =>
        newEvent(n === 0 ? 'AuthorAdded' : 'AuthorRenamed', { name: `Name ${n}` }),
      );
      await log.append(newStream(), 'no-stream', events);
    }
  }),
);

/** Events per second of a bare subscription to them. */
async function subscribe(): Promise<number> {
  // From where the log begins, as the projection does.
  const [first] = await log.readStream('colophon-log');
  const position = first?.position;
  const started = performance.now();
  const subscription = client.subscribeToAll({
    fromPosition: position === undefined ? START : { commit: position, prepare: position },
    filter: streamNameFilter({ prefixes: [`${prefix}log-author-`, `${prefix}log-book-`] }),
  });
  let seen = 0;
  for await (const { event } of subscription) if (event && ++seen === written) break;
  await subscription.unsubscribe();
  return (written * 1_000) / (performance.now() - started);
}

await withServer(async (databaseUrl) => {
  const pool = new Pool({ connectionString: databaseUrl });
  const project = async () => {
    const head = (await log.head()) ?? 0n;
    await pool.query('drop schema if exists catalogue cascade');
    const started = performance.now();
    const projector = new Projector(catalogue, log, pool, { connectionString: databaseUrl });
    await projector.start();
    await projector.reached(head, 600_000);
    const seconds = (performance.now() - started) / 1_000;
    await projector.close();
    return written / seconds;
  };
  const rebuild = async () => {
    const target = { projection: catalogue, schema: 'catalogue', log: await log.logId() };
    const maintenance = new Maintenance({ target, store: log, pool, connectionString: databaseUrl });
    const started = performance.now();
    await maintenance.rebuild({});
    return (written * 1_000) / (performance.now() - started);
  };
  const rates: { projection: number; rebuild: number; bare: number }[] = [];
  for (let n = 0; n < ROUNDS; n += 1)
    rates.push({ projection: await project(), rebuild: await rebuild(), bare: await subscribe() });
  report('eventstoredb catch-up', [
    {
      events: written,
      'projection, events/s': round(median(rates.map((one) => one.projection))),
      'colophon rebuild, events/s': round(median(rates.map((one) => one.rebuild))),
      'bare subscribeToAll, events/s': round(median(rates.map((one) => one.bare))),
      ratio: round(median(rates.map((one) => one.projection / one.bare)), 2),
    },
  ]);
  await pool.end();
});
await Promise.all([store.close(), log.close(), client.dispose()]);
