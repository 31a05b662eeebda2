import { DomainError } from '../domain-error.js';
import { StreamDeleted, type EventStore, type RecordedEvent } from '../event-store/event-store.js';

/** An event that a decision returns. The handler adds id and metadata at the append. */
export interface DecidedEvent {
  readonly type: string;
  readonly data: object;
}

/** The part of a state that conditions ask about: whether the resource can be read. */
export interface Standing {
  readonly status: 'unknown' | 'live' | 'removed';
}

/** What it takes to fold a stream. */
export interface StreamOf<State extends Standing, Event extends DecidedEvent> {
  readonly stream: string;
  readonly initial: State;
  readonly evolve: (state: State, event: Event) => State;
  /** Why an event can't be one of such a stream; undefined if the event can be one. */
  readonly flawOf: (event: DecidedEvent) => string | undefined;
  /** Whether `evolve` also takes what can't be read, and events behind a gap. */
  readonly tolerant?: boolean;
}

/** A stream's state, and the last event in it. */
export interface Folded<State> {
  readonly state: State;
  readonly last:
    (Pick<RecordedEvent, 'id' | 'revision' | 'position'> & { readonly change: string }) | undefined;
}

/** An event of the stream can't be folded. Deciding without that event could undo what it did. */
export class StreamNotUnderstood extends DomainError {
  readonly kind = 'conflict';
  readonly rule = 'stream-not-understood';

  constructor({ type, revision }: RecordedEvent, flaw: string) {
    super(
      `This version can't read the ${type} at revision ${revision}: ${flaw}. ` +
        'A newer version of Colophon, or another program, wrote into the stream or deleted from the stream.',
    );
  }
}

/**
 * What is asked for an answer to a command that is done; undefined if a stream can't be read. A stream that can't be read
 * must not turn the answer into a refusal.
 */
export async function ifReadable<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof StreamNotUnderstood || error instanceof StreamDeleted) return undefined;
    throw error;
  }
}

/** From this revision on, a stream's state is kept: reading 1,000 events takes some milliseconds. */
const LONG_STREAM = 1_000n;
/** Largest number of states kept. A state has at most some MB: 1,000 links with long credits. */
const MAX_LONG = 100;

/** Folds streams into states. Of a long stream, only what came since the last fold of this process is read. */
export class Streams {
  /** States of long streams, the ones used last at the end. */
  private readonly long = new Map<string, Folded<unknown>>();

  constructor(private readonly store: EventStore) {}

  /** @throws StreamNotUnderstood, and the errors of {@link EventStore.readStream}. */
  async fold<State extends Standing, Event extends DecidedEvent>(
    of: StreamOf<State, Event>,
  ): Promise<Folded<State>> {
    const { stream } = of;
    const kept = this.long.get(stream) as Folded<State> | undefined;
    if (kept?.last) {
      const { last } = kept;
      // The last event is read again: a stream that was deleted or cut behind our back is folded anew.
      const [again, ...since] = await this.store.readStream(stream, { after: last.revision - 1n });
      this.long.delete(stream);
      if (again?.id === last.id) return this.keep(stream, foldOn(of, kept, since));
    }
    return this.keep(stream, foldOn(of, begun(of), await this.store.readStream(stream)));
  }

  private keep<State>(stream: string, folded: Folded<State>): Folded<State> {
    if (!folded.last || folded.last.revision < LONG_STREAM) return folded;
    const oldest = this.long.size < MAX_LONG ? undefined : this.long.keys().next().value;
    if (oldest !== undefined) this.long.delete(oldest);
    this.long.set(stream, folded);
    return folded;
  }
}

/** The state of a stream without events. */
export const begun = <State>({ initial }: { readonly initial: State }): Folded<State> => ({
  state: initial,
  last: undefined,
});

/**
 * A state after more events of the stream.
 * @throws StreamNotUnderstood
 */
export function foldOn<State extends Standing, Event extends DecidedEvent>(
  { evolve, flawOf, tolerant = false }: StreamOf<State, Event>,
  { state, last }: Folded<State>,
  events: readonly RecordedEvent[],
): Folded<State> {
  let next = last ? last.revision + 1n : 0n;
  for (const event of events) {
    const gap = event.revision === next ? undefined : 'events before it were deleted from the store';
    const flaw = event.unreadable ?? gap ?? flawOf(event);
    if (flaw !== undefined && !tolerant) throw new StreamNotUnderstood(event, flaw);
    state = evolve(state, event as unknown as Event);
    next += 1n;
  }
  const end = events.at(-1);
  if (!end) return { state, last };
  // Only what later commands need: data of the event may be large.
  const { id, revision, position, metadata } = end;
  return { state, last: { id, revision, position, change: metadata.correlationId } };
}
