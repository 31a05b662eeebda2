import { randomBytes } from 'node:crypto';
import { BACKWARDS, END, EventStoreDBClient, START, type Position } from '@eventstore/db-client';

/** The server that the run was given, or that it started. */
export function eventStoreDbUrl(): string {
  const url = process.env['EVENTSTOREDB_URL'];
  if (!url) throw new Error('EVENTSTOREDB_URL is not set');
  return url;
}

/**
 * A log of the test's own on a server that may be shared: its streams have a prefix.
 * @returns the prefix, and what deletes every stream that begins so.
 */
export async function newPrefix(
  url = eventStoreDbUrl(),
): Promise<{ prefix: string; drop: () => Promise<void> }> {
  const prefix = `test-${randomBytes(6).toString('hex')}-`;
  const before = await withClient(url, lastPosition);
  return { prefix, drop: () => withClient(url, (client) => deleteStreams(client, prefix, before)) };
}

async function withClient<T>(url: string, work: (client: EventStoreDBClient) => Promise<T>): Promise<T> {
  const client = EventStoreDBClient.connectionString(url);
  try {
    return await work(client);
  } finally {
    await client.dispose();
  }
}

async function lastPosition(client: EventStoreDBClient): Promise<Position | undefined> {
  for await (const { event } of client.readAll({ direction: BACKWARDS, fromPosition: END, maxCount: 1 }))
    return event?.position;
  return undefined;
}

async function deleteStreams(client: EventStoreDBClient, prefix: string, since: Position | undefined) {
  const streams = new Set<string>();
  for await (const { event } of client.readAll({ fromPosition: since ?? START }))
    if (event?.streamId.startsWith(prefix)) streams.add(event.streamId);
  // One that a test has deleted for good can't be deleted again.
  await Promise.allSettled([...streams].map((stream) => client.deleteStream(stream)));
}
