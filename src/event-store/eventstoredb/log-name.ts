import { randomUUID } from 'node:crypto';
import { OperatorError } from '../../errors.js';
import { RevisionConflict, StreamDeleted, type EventMetadata, type Position } from '../event-store.js';
import type { Appender } from './appender.js';
import type { Reader } from './reader.js';
import { LOG_STREAM } from './stream-names.js';

/** The log's id, and the position at which the log begins. The event that holds the id precedes all other events. */
export interface LogName {
  readonly id: string;
  readonly position: Position;
}

/** Reads the log's id; undefined if the log has none, or not in the place where it was written. */
export async function readName(reader: Reader): Promise<LogName | undefined> {
  const [named] = await reader.stream(LOG_STREAM).catch((error: unknown) => {
    if (error instanceof StreamDeleted) return [];
    throw error;
  });
  if (named?.revision !== 0n) return undefined;
  return { id: (named.data as { id: string }).id, position: named.position };
}

/** Reads the log's id. Writes a new id if the log has none. */
export async function nameLog(reader: Reader, appender: Appender): Promise<LogName> {
  for (;;) {
    const [named] = await reader.stream(LOG_STREAM).catch((error: unknown) => {
      throw error instanceof StreamDeleted ? wasDeleted() : error;
    });
    if (named) {
      if (named.revision !== 0n) throw wasDeleted();
      // Whoever may not read the log would see nothing of what it writes.
      await reader.idAt(named.position);
      return { id: (named.data as { id: string }).id, position: named.position };
    }
    const id = randomUUID();
    const metadata: EventMetadata = {
      commandId: id,
      actor: 'colophon',
      correlationId: id,
      causationId: id,
      schemaVersion: 1,
    };
    await appender
      .append(LOG_STREAM, 'no-stream', [{ id, type: 'LogNamed', data: { id }, metadata }])
      .catch((error: unknown) => {
        // Another process wrote an id first. The next round reads that id.
        if (!(error instanceof RevisionConflict)) throw error;
      });
  }
}

const wasDeleted = () =>
  new OperatorError(
    `the stream ${LOG_STREAM}, which names the log, was deleted or truncated by another program; ` +
      'restore the stream or its metadata, or begin a new log with another EVENTSTOREDB_PREFIX',
  );
