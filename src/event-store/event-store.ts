import { MAX_APPEND_BYTES } from '../stored-data.js';

/**
 * The event store port: the interface that Colophon requires of every log of events.
 *
 * Streams are named `category-id`. A `Revision` is an event's place in its stream (0 is the first); a `Position` is
 * its place in the log: opaque, totally ordered, and visible in commit order. A reader that has seen position P never
 * meets a new event with a smaller position. Both are bigints, because a log may outgrow 2^53.
 */
export type Revision = bigint;
export type Position = bigint;

/** The circumstances of an event, for auditors: who acted, why, and as part of which change. */
export interface EventMetadata {
  /** Id of the command that caused the event. All events of one command share this id. */
  readonly commandId: string;
  /** Digest of the request with this command id. Distinguishes a retry from another request with the same id. */
  readonly digest?: string;
  readonly actor: string;
  /** The person for whom the actor, such as another service, acted. */
  readonly onBehalfOf?: string;
  readonly reason?: string;
  readonly correlationId: string;
  readonly causationId: string;
  /** Only in an event of a revert: id of the change that the event undoes. */
  readonly reverts?: string;
  /** W3C `traceparent` of the request. */
  readonly traceParent?: string;
  readonly schemaVersion: number;
  /** RFC 3339. Only in a transferred event: the time at which the first log recorded the event. */
  readonly recordedAt?: string;
}

export interface NewEvent {
  /** A UUID chosen by the writer. Appending the same ids again at the same revision is a retry, not a conflict. */
  readonly id: string;
  readonly type: string;
  readonly data: object;
  readonly metadata: EventMetadata;
}

export interface RecordedEvent extends NewEvent {
  readonly stream: string;
  readonly revision: Revision;
  readonly position: Position;
  /** The time at which the event was first recorded, in this log or in the log that it was transferred from. */
  readonly recordedAt: Date;
  /** Why Colophon can't have written this event; undefined for every event that Colophon wrote. */
  readonly unreadable?: string;
  /** Of an unreadable event only: what the store really holds, so that a transfer copies the event as found. */
  readonly stored?: { readonly data: unknown; readonly metadata: unknown };
}

/** The part of an event that projections fold. */
export type ProjectableEvent = Omit<RecordedEvent, 'metadata'> & {
  readonly metadata: Pick<EventMetadata, 'actor' | 'schemaVersion' | 'correlationId' | 'causationId'>;
};

/** `no-stream`: the append must create the stream. A revision: must be the stream's last revision. */
export type ExpectedRevision = 'no-stream' | Revision;

export interface AppendResult {
  /** Revision of the last appended event. */
  readonly revision: Revision;
  /** Position of the last appended event. */
  readonly position: Position;
}

/** Events in a batch of a read, unless the reader says otherwise. */
export const READ_BATCH = 1_000;
/** Events in a batch of a follower that lags. 5,000 was the fastest measured for the projector. */
export const SUBSCRIBE_BATCH = 5_000;
/** A subscription in trouble for so long throws, so that its follower tells of the trouble and begins anew. */
export const TROUBLE_MS = 10_000;

export interface ReadAllOptions {
  readonly direction?: 'forward' | 'backward';
  /** Exclusive start, in the direction of the read. Default: the beginning going forward, the end going backward. */
  readonly from?: Position | undefined;
  /** Inclusive end of a forward read. */
  readonly to?: Position | undefined;
  readonly categories?: readonly string[] | undefined;
  readonly types?: readonly string[] | undefined;
  readonly stream?: string | undefined;
  /** Largest number of events in a batch; {@link READ_BATCH} by default. */
  readonly batchSize?: number;
  /**
   * Set for a read on behalf of a caller; aborts when the caller leaves, which ends the read. Such reads share room of
   * their own, and are refused if too many wait. The reads of followers and commands never wait for them.
   */
  readonly caller?: AbortSignal | undefined;
}

/** A part of a stream. */
export interface StreamRange {
  /** Only events after this revision. */
  readonly after?: Revision | undefined;
  /** Largest number of events. Fewer are returned if they are large, but at least one if there is one. */
  readonly limit?: number | undefined;
  /** Like {@link ReadAllOptions.caller}, if the store has room apart for such reads. */
  readonly caller?: AbortSignal | undefined;
}

/** Why the store takes no appends: it is read-only, or its disk is full. */
export type AppendObstacle = 'read-only' | 'disk-full';

/** Events in order, and whether the batch reached the end of the log at the time of the read. */
export interface Batch {
  readonly events: readonly RecordedEvent[];
  readonly caughtUp: boolean;
}

/** A stream of which another program deleted events. */
export interface Deletion {
  readonly stream: string;
  /** The stream's first event that can still be read; undefined if no event can. */
  readonly first: Revision | undefined;
}

/** Serves as type and as injection token. `resources.ts` picks the adapter. */
export abstract class EventStore {
  /**
   * Appends all events or none.
   * @throws RevisionConflict if the stream is not at `expected`. If the same events are already in the stream (same
   *         ids at the same revisions), returns the first append's result instead.
   * @throws EventStoreUnavailable if the store can't be reached, or the append didn't end in time. The time covers the
   *         wait for other appends; an append that can't begin in time is never written. Otherwise the outcome is
   *         unknown. The caller may safely repeat the same call with the same ids.
   * @throws AppendTooLarge if the data exceeds {@link MAX_APPEND_BYTES}.
   */
  abstract append(
    stream: string,
    expected: ExpectedRevision,
    events: readonly NewEvent[],
  ): Promise<AppendResult>;

  /**
   * Whether an append would work, without an append and without a read of the head. An answer may be a second old.
   * Stores that can't say so in advance don't have this method.
   * @returns the obstacle; undefined if there is none.
   * @throws EventStoreUnavailable if the store can't be reached.
   */
  checkAppends?(): Promise<AppendObstacle | undefined>;

  /**
   * The events of a stream in order, by default all; empty if no such stream. Sees every append acknowledged before the
   * call.
   */
  abstract readStream(stream: string, range?: StreamRange): Promise<readonly RecordedEvent[]>;

  /** Batches of the log. Ends at the head as of the last read. Never yields an empty batch. */
  abstract readAll(options?: ReadAllOptions): AsyncIterable<readonly RecordedEvent[]>;

  /**
   * The events at these positions, in this order, in batches. Leaves out positions without an event. Never yields an
   * empty batch.
   * @param positions in rising or in falling order. Each was read from this log.
   * @param caller as in {@link ReadAllOptions}.
   */
  abstract readAt(
    positions: readonly Position[],
    caller?: AbortSignal,
  ): AsyncIterable<readonly RecordedEvent[]>;

  /**
   * Every event after `after` (undefined: from the beginning), once, in order, until the signal aborts. Waits during
   * short outages of the store. A batch ends where an append ends. Yields an empty batch only to report that the
   * subscription has caught up.
   * @param id of the event at `after`, if known. Looked up again with every connection.
   * @throws EventStoreUnavailable after {@link TROUBLE_MS} of an outage.
   * @throws AnotherLog if the log no longer has the last event that the subscriber got.
   */
  abstract subscribe(after: Position | undefined, signal: AbortSignal, id?: string): AsyncIterable<Batch>;

  /** Whether the log has the event with this id at this position. Not so if the log went back, or was replaced. */
  abstract holds(position: Position, id: string): Promise<boolean>;

  /**
   * Every event up to `to` (inclusive), stream by stream: events of a stream in order, streams in any order. Only
   * stores that need bounded memory for a log of any size have this method.
   */
  readByStream?(to: Position): AsyncIterable<readonly ProjectableEvent[]>;

  /**
   * The streams of which another program deleted all events, or the first ones. Only a store in which other programs can
   * do so has this method. The log may still show deleted events, until the store is scavenged.
   */
  deletions?(): AsyncIterable<Deletion>;

  /** Position of the last event; undefined if the log is empty. */
  abstract head(): Promise<Position | undefined>;

  /**
   * Whether a time has passed by the clock that gives recorded times, so that no later append is recorded by then. Waits
   * for a time that passes within a second.
   */
  abstract hasPassed(time: Date): Promise<boolean>;

  /**
   * Position of the last event first recorded at `time` or before; undefined if there is none. If times don't rise along
   * the log, because a clock was wrong, the position is that of {@link AsOfTime}.
   */
  abstract positionAt(time: Date): Promise<Position | undefined>;

  /** A UUID, written into the log when the log was created. Two stores with the same id hold the same log. */
  abstract logId(): Promise<string>;

  abstract close(): Promise<void>;
}

/** The stream is not at the revision that the append expected. */
export class RevisionConflict extends Error {
  constructor(
    readonly stream: string,
    readonly expected: ExpectedRevision,
    readonly actual: ExpectedRevision,
  ) {
    super(`${stream} is at ${actual}, not at ${expected}`);
  }
}

/** The store can't be reached, or did not answer in time. */
export class EventStoreUnavailable extends Error {
  constructor(cause?: unknown) {
    super('the event store is unavailable', { cause });
  }
}

/**
 * The store refuses the user that Colophon was given: the user lacks a permission, or can't sign in. The message says
 * which. An operator can repair that while Colophon runs.
 */
export class UserRefused extends EventStoreUnavailable {
  constructor(override readonly message: string) {
    super();
  }
}

/**
 * The store holds another log than before, or an older state of the log, such as a backup. Nobody can go on from there:
 * the tables show events that the log doesn't have.
 */
export class AnotherLog extends Error {
  constructor(finding: string) {
    super(`${finding}: put the right log back, or rebuild the tables with \`colophon rebuild\``);
  }

  static withoutEvent(position: Position, id: string): AnotherLog {
    return new AnotherLog(`the log went back or was replaced, it has no event ${id} at position ${position}`);
  }

  static named(found: string | undefined, expected: string): AnotherLog {
    return new AnotherLog(
      `the event store has ${found ? `the log ${found}` : 'no log'} instead of ${expected}`,
    );
  }
}

/** A read started from a position that no event has. */
export class NoSuchPosition extends Error {
  override message = 'There is no such position in this log.';
}

/** Another program than Colophon deleted the stream: for good (a tombstone), or so that it would begin anew. */
export class StreamDeleted extends Error {
  constructor(readonly stream: string) {
    super(`The stream ${stream} was deleted from the event store by another program.`);
  }
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
