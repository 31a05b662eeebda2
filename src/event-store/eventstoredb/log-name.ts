import { randomUUID } from 'node:crypto';
import { RevisionConflict, type EventMetadata, type Position } from '../event-store.js';
import type { Appender } from './appender.js';
import type { Reader } from './reader.js';

/** Which log this is, and where it begins: the event that names it comes before all others. */
export interface LogName {
  readonly id: string;
  readonly position: Position;
}

/** Reads the log's name, or gives it one. @param streamId of the stream that holds it. */
export async function nameLog(streamId: string, reader: Reader, appender: Appender): Promise<LogName> {
  for (;;) {
    const [named] = await reader.stream(streamId);
    if (named) return { id: (named.data as { id: string }).id, position: named.position };
    const id = randomUUID();
    const metadata: EventMetadata = {
      commandId: id,
      actor: 'colophon',
      correlationId: id,
      causationId: id,
      schemaVersion: 1,
    };
    await appender
      .append(streamId, 'no-stream', [{ id, type: 'LogNamed', data: { id }, metadata }])
      .catch((error: unknown) => {
        // Another process named it first; what it says is read next.
        if (!(error instanceof RevisionConflict)) throw error;
      });
  }
}
