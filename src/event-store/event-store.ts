/**
 * The event store port: what Colophon asks of any log of events.
 *
 * Streams are named `category-id`. A `Revision` is an event's place in its stream (0 is the first); a `Position` is
 * its place in the log: opaque, totally ordered, and visible in commit order, so a reader that has seen position P
 * will never meet a smaller one. Both are bigints, because a log may outgrow 2^53.
 */
export type Revision = bigint;
export type Position = bigint;

/** What is known about an event besides what happened. Everything an auditor asks: who, why, as part of what. */
export interface EventMetadata {
  /** The command that caused the event; one command's events share it. */
  readonly commandId: string;
  /** Digest of the request under this command id; a retry with another body is told apart by it. */
  readonly digest?: string;
  readonly actor: string;
  readonly reason?: string;
  readonly correlationId: string;
  readonly causationId: string;
  /** W3C `traceparent` of the request. */
  readonly traceParent?: string;
  readonly schemaVersion: number;
  /** RFC 3339. Of an event that came from another log: when it was first recorded there. */
  readonly recordedAt?: string;
}

export interface NewEvent {
  /** A UUID chosen by the writer: appending the same ids again at the same revision is a retry, not a conflict. */
  readonly id: string;
  readonly type: string;
  readonly data: object;
  readonly metadata: EventMetadata;
}

export interface RecordedEvent extends NewEvent {
  readonly stream: string;
  readonly revision: Revision;
  readonly position: Position;
  /** When it was first recorded, in this log or in the one it was transferred from. */
  readonly recordedAt: Date;
}

/** As much of an event as projections fold. */
export type ProjectableEvent = Omit<RecordedEvent, 'metadata'> & {
  readonly metadata: Pick<EventMetadata, 'actor' | 'schemaVersion'>;
};

/** `no-stream`: the append must create the stream. A revision: it must be the stream's last. */
export type ExpectedRevision = 'no-stream' | Revision;

export interface AppendResult {
  /** Revision of the last appended event. */
  readonly revision: Revision;
  /** Position of the last appended event. */
  readonly position: Position;
}

export interface ReadAllOptions {
  readonly direction?: 'forward' | 'backward';
  /** Exclusive start: events after it going forward, before it going backward. Default: the beginning, or the end. */
  readonly from?: Position | undefined;
  /** Inclusive end of a forward read. */
  readonly to?: Position | undefined;
  readonly categories?: readonly string[] | undefined;
  readonly types?: readonly string[] | undefined;
  readonly stream?: string | undefined;
  /** Largest number of events in a batch; 1,000 by default. */
  readonly batchSize?: number;
}

/** Events in order, and whether they reached the end of the log when they were read. */
export interface Batch {
  readonly events: readonly RecordedEvent[];
  readonly caughtUp: boolean;
}

/** Doubles as type and as injection token; `resources.ts` picks the adapter. */
export abstract class EventStore {
  /**
   * Appends all events or none.
   * @throws RevisionConflict when the stream is not at `expected`, unless these very events are already there
   *         (same ids at the same revisions): then the first append's result is returned.
   * @throws EventStoreUnavailable when the store can't be reached; the outcome is then unknown, and the same call,
   *         with the same ids, may be made again safely.
   * @throws AppendTooLarge above {@link MAX_APPEND_BYTES}.
   */
  abstract append(
    stream: string,
    expected: ExpectedRevision,
    events: readonly NewEvent[],
  ): Promise<AppendResult>;

  /** All events of a stream in order, none if it doesn't exist. Sees every append acknowledged before the call. */
  abstract readStream(stream: string): Promise<readonly RecordedEvent[]>;

  /** Batches of the log up to its head at the time of each read; ends there. Never yields an empty batch. */
  abstract readAll(options?: ReadAllOptions): AsyncIterable<readonly RecordedEvent[]>;

  /**
   * Every event after `after` (undefined: from the beginning), once, in order, for as long as the signal allows.
   * Outages of the store are waited out. Yields an empty batch only to say that it has caught up.
   */
  abstract subscribe(after: Position | undefined, signal: AbortSignal): AsyncIterable<Batch>;

  /**
   * Every event up to `to` (inclusive), stream by stream: each stream's in order, the streams in any order. Only of
   * stores that can do it in bounded memory, whatever the log's size.
   */
  readByStream?(to: Position): AsyncIterable<readonly ProjectableEvent[]>;

  /** Position of the last event, undefined while the log is empty. */
  abstract head(): Promise<Position | undefined>;

  /**
   * Position of the last event that was first recorded at `time` or before; undefined where there is none. Times of
   * recording are taken to rise along the log.
   */
  abstract positionAt(time: Date): Promise<Position | undefined>;

  /** A UUID that was written into the log when it began: two stores that answer alike hold the same log. */
  abstract logId(): Promise<string>;

  abstract close(): Promise<void>;
}

/** Data of one append, as JSON bytes. EventStoreDB takes no more by default; other adapters keep to the same. */
export const MAX_APPEND_BYTES = 1_048_576;

/** The stream was not where the append expected it. */
export class RevisionConflict extends Error {
  constructor(
    readonly stream: string,
    readonly expected: ExpectedRevision,
    readonly actual: ExpectedRevision,
  ) {
    super(`${stream} is at ${actual}, not at ${expected}`);
  }
}

/** The store can't be reached, or didn't answer in time. */
export class EventStoreUnavailable extends Error {
  constructor(cause?: unknown) {
    super('the event store is unavailable', { cause });
  }
}

/** No event has the position that was to be read from. */
export class NoSuchPosition extends Error {
  override message = 'There is no such position in this log.';
}

/** The events of one append are larger than {@link MAX_APPEND_BYTES}. */
export class AppendTooLarge extends Error {
  constructor(readonly bytes: number) {
    super(`an append of ${bytes} bytes is over the limit of ${MAX_APPEND_BYTES}`);
  }
}

/** `author-<uuid>` → `author`. */
export const categoryOf = (stream: string): string => stream.slice(0, stream.indexOf('-'));

/** `author-<uuid>` → `<uuid>`. */
export const idOf = (stream: string): string => stream.slice(stream.indexOf('-') + 1);
