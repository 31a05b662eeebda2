import type { Client } from 'pg';
import type { EventStore, Position, ProjectableEvent } from '../src/event-store/event-store.js';
import { CopyIn, digestOut } from '../src/postgres/copy.js';
import { eventsByStream } from '../src/postgres/events-by-stream.js';
import type { Target } from './checkpoint.js';
import type { Parked } from './parking.js';
import { keys } from './tables.js';
import { concerns } from './projection.js';
import { OperatorError } from './operator-error.js';

/** The tables are not what was folded: they must not be used. */
export class VerificationFailed extends OperatorError {}

/** What a bulk load made of the log. */
export interface Loaded {
  readonly events: number;
  readonly parked: readonly Parked[];
}

/** Beyond, it isn't the events that are wrong, and memory would grow with them. */
const MAX_PARKED = 100_000;

/** Work on connections of its own. */
export type Connect = () => Promise<Client>;

/**
 * The events up to a position, stream by stream. Of a store that can't group them they are first written, as they come,
 * into a table of the database, which can.
 * @param schema where that table may be.
 * @param told how far the writing is.
 */
export async function* byStream(
  store: EventStore,
  to: Position,
  schema: string,
  connectionString: string,
  connect: Connect,
  told: (events: number, position: Position) => void,
): AsyncIterable<readonly ProjectableEvent[]> {
  if (store.readByStream) {
    yield* store.readByStream(to);
    return;
  }
  const table = `${schema}.staged_events`;
  const client = await connect();
  try {
    await client.query(
      `create unlogged table ${table} (stream text, revision bigint, position bigint, id uuid, type text, data json,
                                       metadata json, recorded_at timestamptz)`,
    );
    const copy = new CopyIn(client, `copy ${table} from stdin`);
    for await (const events of store.readAll({ to })) {
      for (const { stream, revision, position, id, type, data, metadata, recordedAt } of events) {
        const actor = JSON.stringify({ actor: metadata.actor });
        copy.add([stream, revision, position, id, type, JSON.stringify(data), actor, recordedAt]);
      }
      await copy.flush();
      told(copy.rows, events.at(-1)?.position ?? 0n);
    }
    await copy.end();
    yield* eventsByStream(connectionString, table, to);
    await client.query(`drop table ${table}`);
  } finally {
    await client.end();
  }
}

/**
 * Fills bare tables from the log, each row once, and reads every row back. Memory is what one stream takes, and what is
 * on its way.
 * @throws VerificationFailed where a stream has a gap, or the tables don't hold what was folded.
 */
export async function bulkLoad(
  { projection, schema }: Target,
  events: AsyncIterable<readonly ProjectableEvent[]>,
  connect: Connect,
  told: (events: number) => void,
): Promise<Loaded> {
  const { bulk } = projection;
  // The server sorts meanwhile.
  const pages = events[Symbol.asyncIterator]();
  const firstPage = pages.next();
  firstPage.catch(() => undefined);
  const tables = await Promise.all(
    Object.entries(bulk.columns).map(async ([name, columns]) => {
      const client = await connect();
      // Rows of a table emptied in the same transaction are written as visible to all, and never touched again.
      await client.query(`begin; truncate ${schema}.${name}`);
      const list = `${schema}.${name} (${columns.join()})`;
      return { name, client, list, copy: new CopyIn(client, `copy ${list} from stdin (freeze)`) };
    }),
  ).catch(async (error: unknown) => {
    await pages.return?.();
    throw error;
  });
  try {
    const copies = new Map(tables.map(({ name, copy }) => [name, copy]));
    const add: Parameters<typeof bulk.rows>[2] = (table, values) => copies.get(table)?.add(values);
    const parked: Parked[] = [];
    let count = 0;
    let stream = '';
    let revision = 0n;
    let standing: unknown;
    let broken = false;
    let ours = false;
    const finish = () => {
      if (standing !== undefined) bulk.rows(stream, standing, add);
    };
    for (let next = await firstPage; !next.done; next = await pages.next()) {
      const page = next.value;
      for (const event of page) {
        if (event.stream !== stream) {
          finish();
          ({ stream } = event);
          revision = 0n;
          standing = undefined;
          broken = false;
          ours = concerns(projection, event);
        }
        if (!ours) continue;
        count += 1;
        if (event.revision !== revision)
          throw new VerificationFailed(
            `${stream} has revision ${event.revision} where ${revision} should be`,
          );
        revision += 1n;
        if (broken) {
          parked.push({ event, error: null });
          continue;
        }
        try {
          standing = bulk.fold(standing, event);
        } catch (error) {
          broken = true;
          parked.push({ event, error: (error as Error).message });
        }
      }
      if (parked.length > MAX_PARKED)
        throw new VerificationFailed(`more than ${MAX_PARKED} events can't be applied: ${parked[0]?.error}`);
      told(count);
      await Promise.all(tables.map(({ copy }) => copy.flush()));
    }
    finish();
    await Promise.all(
      tables.map(async ({ name, client, list, copy }) => {
        const sent = await copy.end();
        // A table this large would otherwise be read from wherever another reader is.
        await client.query('commit; set synchronize_seqscans = off');
        // Before the indexes: on expressions, statistics cost more than the indexes, and no query of ours needs them.
        await client.query(`analyze ${schema}.${name}`);
        if ((await digestOut(client, `copy ${list} to stdout`)) !== sent)
          throw new VerificationFailed(`${name} does not hold what was written into it`);
      }),
    );
    return { events: count, parked };
  } finally {
    await pages.return?.().catch(() => undefined);
    await Promise.all(tables.map(({ client }) => client.end().catch(() => undefined)));
  }
}

/** As many as a small server has cores to spare for it; each works alone. */
const LANES = 2;

/** Brings streams together, and gives the loaded tables their keys and indexes. */
export async function finishTables(
  target: Target,
  connect: Connect,
  told: (done: number, total: number) => void,
): Promise<void> {
  const clients = await Promise.all(Array.from({ length: LANES }, connect));
  try {
    for (const client of clients)
      await client.query(
        `set search_path to ${target.schema}, public; set maintenance_work_mem = '256MB'; set max_parallel_maintenance_workers = 0`,
      );
    const [first] = clients;
    if (first) await target.projection.bulk.settle(first);
    const indexes = keys(target).filter((statement) => statement.startsWith('create'));
    const total = indexes.length;
    await Promise.all(
      clients.map(async (client) => {
        for (let statement = indexes.shift(); statement; statement = indexes.shift()) {
          await client.query(statement);
          told(total - indexes.length, total);
        }
      }),
    );
    // These wait for every index of their table.
    const constraints = keys(target).filter((statement) => !statement.startsWith('create'));
    await first?.query(constraints.join(';'));
  } finally {
    await Promise.all(clients.map((client) => client.end().catch(() => undefined)));
  }
}
