import { setTimeout } from 'node:timers/promises';
import { jsonEvent, NO_STREAM, type EventStoreDBClient } from '@eventstore/db-client';
import {
  AppendTooLarge,
  EventStoreUnavailable,
  MAX_APPEND_BYTES,
  RevisionConflict,
  type AppendResult,
  type ExpectedRevision,
  type NewEvent,
} from '../event-store.js';
import { isPassing, isTooLarge, isWrongExpectedVersion } from './errors.js';
import type { Reader } from './reader.js';

/** One try of an append. A frozen server answers nothing; the call ends here. */
const APPEND_DEADLINE_MS = 3_000;
/** How long an append whose outcome is unknown is settled before the caller is told that the store is unavailable. */
const SETTLE_MS = 6_000;
const RETRY_MS = 100;

/**
 * Appends one call at a time. An error leaves an append's outcome unknown; it is made again with the same event ids, which
 * the server takes for what it is, a repetition.
 */
export class Appender {
  constructor(
    private readonly client: EventStoreDBClient,
    private readonly reader: Reader,
    private readonly closing: AbortSignal,
  ) {}

  /** @param streamId the server's name of the stream. */
  async append(
    streamId: string,
    expected: ExpectedRevision,
    events: readonly NewEvent[],
  ): Promise<AppendResult> {
    const written = events.map(({ id, type, data, metadata }) =>
      jsonEvent({ id, type, data: { ...data }, metadata: { ...metadata } }),
    );
    const deadline = Date.now() + SETTLE_MS;
    for (let retried = false; ; retried = true) {
      try {
        const append = this.client.appendToStream(streamId, written, {
          expectedRevision: expected === 'no-stream' ? NO_STREAM : expected,
          requiresLeader: true,
          deadline: APPEND_DEADLINE_MS,
        });
        // The call's own deadline doesn't count the search for a leader, which can take minutes.
        const { nextExpectedRevision, position } = await within(2 * APPEND_DEADLINE_MS, append);
        if (!position) throw new Error('the server gave no position');
        return { revision: nextExpectedRevision, position: position.commit };
      } catch (error) {
        if (isWrongExpectedVersion(error)) return this.settle(streamId, expected, events, retried);
        if (isTooLarge(error)) throw new AppendTooLarge(MAX_APPEND_BYTES);
        if (error instanceof EventStoreUnavailable) throw error;
        if (!isPassing(error)) throw error;
        if (Date.now() >= deadline || this.closing.aborted) throw new EventStoreUnavailable(error);
        await setTimeout(RETRY_MS);
      }
    }
  }

  /** The stream is elsewhere: a conflict, unless these very events are what moved it. */
  private async settle(
    streamId: string,
    expected: ExpectedRevision,
    events: readonly NewEvent[],
    retried: boolean,
  ): Promise<AppendResult> {
    const recorded = await this.reader.stream(streamId);
    const start = expected === 'no-stream' ? 0n : expected + 1n;
    const there = retried ? recorded.slice(Number(start), Number(start) + events.length) : [];
    const last = there.at(-1);
    if (last && events.every((event, index) => event.id === there[index]?.id))
      return { revision: last.revision, position: last.position };
    throw new RevisionConflict(streamId, expected, recorded.at(-1)?.revision ?? 'no-stream');
  }
}

/** @throws EventStoreUnavailable if it takes longer. */
function within<T>(milliseconds: number, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = () => reject(new EventStoreUnavailable(new Error('no answer in time')));
    const timer = globalThis.setTimeout(late, milliseconds);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
