import { randomUUID } from 'node:crypto';
import { Pool } from 'pg';
import { PostgresEventStore } from '../../src/event-store/postgres/postgres-event-store.js';
import { migrate } from '../../src/postgres/migrate.js';
import { newEvent, newStream } from '../support/events.js';
import { median, report, round, withServer } from './support.js';

// Conditional appends of one event through the port, beside the same insert by plain pg: same columns, same indexes,
// same durability, one statement and one commit each. Taken in turns, since a machine's speed drifts.
const ROUNDS = 5;
const SECONDS = 2;

/** Calls per second of so many callers, each waiting for its answer before the next call. */
async function rate(callers: number, call: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  const end = started + SECONDS * 1_000;
  let calls = 0;
  const caller = async () => {
    while (performance.now() < end) {
      await call();
      calls += 1;
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  return (calls * 1_000) / (performance.now() - started);
}

await withServer(async (url) => {
  await migrate(url);
  const pool = new Pool({ connectionString: url, max: 64 });
  await pool.query(`create table plain (
    position bigint generated always as identity primary key, stream text not null, revision bigint not null,
    id uuid not null, type text not null, data json not null, metadata json not null,
    recorded_at timestamptz not null default now(), unique (stream, revision))`);
  const store = new PostgresEventStore(url);
  const event = () => newEvent('AuthorAdded', { name: 'Jane Austen' });
  const port = () => store.append(newStream(), 'no-stream', [event()]);
  const plain = () => {
    const { id, type, data, metadata } = event();
    return pool.query({
      name: 'insert',
      text: `insert into plain (stream, revision, id, type, data, metadata) values ($1, $2, $3, $4, $5, $6)
             returning position`,
      values: [`author-${randomUUID()}`, 0, id, type, JSON.stringify(data), JSON.stringify(metadata)],
    });
  };
  const rows = [];
  for (const callers of [1, 16, 64]) {
    await rate(callers, port);
    await rate(callers, plain);
    const rates: { port: number; plain: number }[] = [];
    for (let n = 0; n < ROUNDS; n += 1)
      rates.push({ port: await rate(callers, port), plain: await rate(callers, plain) });
    rows.push({
      callers,
      'port, appends/s': round(median(rates.map((one) => one.port))),
      'plain pg, inserts/s': round(median(rates.map((one) => one.plain))),
      ratio: round(median(rates.map((one) => one.port / one.plain)), 2),
    });
  }
  await store.close();
  await pool.end();
  report('append', rows);
});
