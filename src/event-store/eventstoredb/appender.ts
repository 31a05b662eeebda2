import { setTimeout } from 'node:timers/promises';
import { jsonEvent, NO_STREAM, type EventStoreDBClient, type JSONType } from '@eventstore/db-client';
import {
  AnotherLog,
  AppendTooLarge,
  EventStoreUnavailable,
  RevisionConflict,
  StreamDeleted,
  type AppendResult,
  type ExpectedRevision,
  type NewEvent,
} from '../event-store.js';
import { appendSettled } from '../../signals.js';
import { MAX_APPEND_BYTES } from '../../stored-data.js';
import { within } from '../within.js';
import {
  isPassing,
  isRefused,
  isStreamDeleted,
  isTooLarge,
  isWrongExpectedVersion,
  outage,
} from './errors.js';
import type { Reader } from './reader.js';
import type { StreamNames } from './stream-names.js';

/** Deadline of one attempt to append, because a frozen server never answers. */
const APPEND_DEADLINE_MS = 3_000;
/** How long an append with unknown outcome is retried before the caller gets EventStoreUnavailable. */
export const SETTLE_MS = 6_000;
const RETRY_MS = 100;

/**
 * Appends with one call each. After an error the outcome is unknown, so the call is repeated with the same event ids.
 * The server recognises the repetition by the ids.
 */
export class Appender {
  constructor(
    private readonly client: EventStoreDBClient,
    private readonly names: StreamNames,
    private readonly reader: Reader,
    /** Throws AnotherLog if the server came back with another log after a time. */
    private readonly sameLog: (since: number) => Promise<void>,
    private readonly closing: AbortSignal,
  ) {}

  async append(
    stream: string,
    expected: ExpectedRevision,
    events: readonly NewEvent[],
    deadline = performance.now() + SETTLE_MS,
  ): Promise<AppendResult> {
    if (performance.now() >= deadline) throw new EventStoreUnavailable(new Error('too late to append'));
    const written = events.map(({ id, type, data, metadata }) =>
      jsonEvent({ id, type, data: data as JSONType, metadata: metadata as unknown as JSONType }),
    );
    let failedAt = 0;
    for (let retried = false; ; retried = true) {
      try {
        if (retried) await this.sameLog(failedAt);
        const append = this.client.appendToStream(this.names.onServer(stream), written, {
          expectedRevision: expected === 'no-stream' ? NO_STREAM : expected,
          requiresLeader: true,
          deadline: APPEND_DEADLINE_MS,
        });
        // The call's own deadline doesn't cover the search for a leader, which can take minutes.
        const { nextExpectedRevision, position } = await within(
          performance.now() + 2 * APPEND_DEADLINE_MS,
          append,
        );
        if (!position) throw new Error('the server gave no position');
        // The server lets a soft-deleted stream begin anew, after its last revision. The new events can't be applied.
        if (expected === 'no-stream' && nextExpectedRevision >= BigInt(events.length))
          throw new StreamDeleted(stream);
        return { revision: nextExpectedRevision, position: position.commit };
      } catch (error) {
        if (isWrongExpectedVersion(error)) return this.settle(stream, expected, events, retried);
        if (isStreamDeleted(error)) throw new StreamDeleted(stream);
        if (isTooLarge(error)) throw new AppendTooLarge(MAX_APPEND_BYTES);
        if (error instanceof StreamDeleted || error instanceof AnotherLog || isRefused(error)) throw error;
        // An error that nobody knows may come after the write. The outcome is unknown.
        const passing = error instanceof EventStoreUnavailable || isPassing(error);
        if (!passing || performance.now() >= deadline || this.closing.aborted)
          throw outage(error, `write to the stream ${this.names.onServer(stream)}`);
        failedAt = performance.now();
        await setTimeout(RETRY_MS);
      }
    }
  }

  /** The stream is at another revision: a conflict, unless an earlier attempt already wrote these same events. */
  private async settle(
    stream: string,
    expected: ExpectedRevision,
    events: readonly NewEvent[],
    retried: boolean,
  ): Promise<AppendResult> {
    const recorded = await this.reader.stream(stream);
    const start = expected === 'no-stream' ? 0n : expected + 1n;
    const there = retried ? recorded.slice(Number(start), Number(start) + events.length) : [];
    const last = there.at(-1);
    if (last && events.every((event, index) => event.id === there[index]?.id)) {
      appendSettled.tell();
      return { revision: last.revision, position: last.position };
    }
    throw new RevisionConflict(stream, expected, recorded.at(-1)?.revision ?? 'no-stream');
  }
}
