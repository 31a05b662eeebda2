import { randomUUID } from 'node:crypto';
import { binaryEvent, EventStoreDBClient, jsonEvent, type JSONType } from '@eventstore/db-client';
import { sql } from './database.js';

/** An event as any program could write one. */
export interface ForeignEvent {
  readonly stream: string;
  readonly type: string;
  /** Anything that JSON can say; undefined: bytes that are no JSON, on a store that takes such. */
  readonly data: unknown;
  readonly metadata: unknown;
}

const literal = (text: string) => `'${text.replaceAll("'", "''")}'`;

/** Writes events into a service's log with the store's own means, past Colophon. */
export async function writePastColophon(
  env: Record<string, string>,
  events: readonly ForeignEvent[],
): Promise<void> {
  const { DATABASE_URL = '', EVENTSTOREDB_URL, EVENTSTOREDB_PREFIX = '' } = env;
  if (EVENTSTOREDB_URL !== undefined) {
    const client = EventStoreDBClient.connectionString(EVENTSTOREDB_URL);
    try {
      for (const { stream, type, data, metadata } of events) {
        const more = {
          id: randomUUID(),
          type,
          ...(metadata !== undefined && { metadata: metadata as object }),
        };
        const event =
          data === undefined
            ? binaryEvent({ ...more, data: Buffer.from([0, 255, 1]) })
            : jsonEvent({ ...more, data: data as JSONType });
        await client.appendToStream(EVENTSTOREDB_PREFIX + stream, event);
      }
    } finally {
      await client.dispose();
    }
    return;
  }
  const { length } = await sql(
    DATABASE_URL,
    ...events.map(
      ({ stream, type, data, metadata }) =>
        `insert into event_store.events (position, stream, revision, id, type, data, metadata, recorded_at)
         select coalesce((select max(position) from event_store.events), 0) + 1, ${literal(stream)},
           coalesce((select max(revision) from event_store.events where stream = ${literal(stream)}), -1) + 1,
           gen_random_uuid(), ${literal(type)}, ${literal(JSON.stringify(data ?? 'bytes'))},
           ${literal(JSON.stringify(metadata ?? null))}, now() returning position`,
    ),
  );
  expect(length).toBe(1);
}

/** Deletes a stream for good, as its server's own tools can. */
export async function tombstone(env: Record<string, string>, stream: string): Promise<void> {
  const client = EventStoreDBClient.connectionString(env['EVENTSTOREDB_URL'] ?? '');
  await client.tombstoneStream((env['EVENTSTOREDB_PREFIX'] ?? '') + stream);
  await client.dispose();
}

/** Deletes a stream so that it can begin anew, as its server's own tools can. */
export async function softDelete(env: Record<string, string>, stream: string): Promise<void> {
  const client = EventStoreDBClient.connectionString(env['EVENTSTOREDB_URL'] ?? '');
  await client.deleteStream((env['EVENTSTOREDB_PREFIX'] ?? '') + stream);
  await client.dispose();
}

/** Lets a stream keep its last events only, as its server's own tools can. */
export async function keepLast(env: Record<string, string>, stream: string, maxCount: number): Promise<void> {
  const client = EventStoreDBClient.connectionString(env['EVENTSTOREDB_URL'] ?? '');
  await client.setStreamMetadata((env['EVENTSTOREDB_PREFIX'] ?? '') + stream, { maxCount });
  await client.dispose();
}
