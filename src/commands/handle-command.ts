import { Injectable } from '@nestjs/common';
import { DomainError } from '../domain-error.js';
import {
  categoryOf,
  EventStore,
  RevisionConflict,
  type RecordedEvent,
  type Revision,
} from '../event-store/event-store.js';
import { newId } from '../ids.js';
import { metadataOf, type CommandContext, type CommandResult } from './command-context.js';
import { KeyedQueue } from './keyed-queue.js';

/** An event that a decision returns. The handler adds id and metadata at the append. */
export interface DecidedEvent {
  readonly type: string;
  readonly data: object;
}

/** The part of a state that conditions ask about: whether the resource can be read. */
export interface Standing {
  readonly status: 'unknown' | 'live' | 'removed';
}

/** The parts of a command: the stream, how to fold the stream, and the pure decision. */
export interface Handling<State extends Standing, Event extends DecidedEvent> {
  readonly id: string;
  readonly stream: string;
  readonly initial: State;
  readonly evolve: (state: State, event: Event) => State;
  readonly decide: (state: State) => readonly Event[] | Promise<readonly Event[]>;
  /** Why an event can't be one of such a stream; undefined if the event can be one. */
  readonly flawOf: (event: DecidedEvent) => string | undefined;
}

/** What it takes to fold a stream. */
type StreamOf<State extends Standing, Event extends DecidedEvent> = Pick<
  Handling<State, Event>,
  'stream' | 'initial' | 'evolve' | 'flawOf'
>;

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

/** `If-Match` or `If-None-Match` doesn't hold for the stream. */
export class PreconditionFailed extends Error {
  /** @param actual the stream's revision; undefined if the stream doesn't exist. */
  constructor(
    { status }: Standing,
    readonly actual: bigint | undefined,
  ) {
    super(
      actual === undefined
        ? 'The resource does not exist yet.'
        : `The ${status === 'live' ? 'resource exists' : 'resource has been removed'}; its revision is ${actual}.`,
    );
  }
}

/** An earlier request had the same `Idempotency-Key` and another content. */
export class IdempotencyKeyReused extends Error {
  override message = 'This Idempotency-Key was used for another request.';
}

/** Other writers appended first, in each of the {@link MAX_ATTEMPTS} attempts. */
export class TooMuchContention extends Error {
  override message = 'Other changes to the same resource were faster every time.';
}

/** Commands of one process take turns on a stream, so only another process can cause a conflict. Two are rare. */
const MAX_ATTEMPTS = 8;
/** Largest number of series in {@link CommandHandling.beginning}. */
const MAX_SERIES = 1_000;

/** Runs a command: load the stream, fold, decide, append. Starts over if another append moved the stream meanwhile. */
@Injectable()
export class CommandHandling {
  private readonly queue = new KeyedQueue();
  /** Series, each of one category, whose last command created a stream: see {@link isLikelyNew}. */
  private readonly beginning = new Set<string>();

  constructor(private readonly store: EventStore) {}

  /**
   * @throws DomainError if a rule refuses the command. Nothing was written.
   * @throws PreconditionFailed, IdempotencyKeyReused, TooMuchContention, and the errors of {@link EventStore.append}.
   */
  async handle<State extends Standing, Event extends DecidedEvent>(
    handling: Handling<State, Event>,
    context: CommandContext,
  ): Promise<CommandResult> {
    const guessed = this.isLikelyNew(handling, context) ? await this.begin(handling, context) : undefined;
    const result = guessed ?? (await this.change(handling, context));
    this.remember(handling, context, result);
    return result;
  }

  /** The current state of a stream, for a decision about another stream. */
  async load<State extends Standing, Event extends DecidedEvent>(
    handling: StreamOf<State, Event>,
  ): Promise<State> {
    return fold(handling, await this.store.readStream(handling.stream));
  }

  private change<State extends Standing, Event extends DecidedEvent>(
    handling: Handling<State, Event>,
    context: CommandContext,
  ): Promise<CommandResult> {
    return this.queue.run(handling.stream, async () => {
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await this.attempt(handling, context, await this.store.readStream(handling.stream));
        } catch (error) {
          if (!(error instanceof RevisionConflict)) throw error;
          if (attempt === MAX_ATTEMPTS) throw new TooMuchContention();
        }
      }
    });
  }

  /**
   * Whether the stream most likely doesn't exist: its id was made for this command, or the last command of the same
   * series (such as an import) created a stream. Such a stream is written without a read, which halves an import's
   * time.
   */
  private isLikelyNew(
    { id, stream }: Pick<Handling<never, never>, 'id' | 'stream'>,
    context: CommandContext,
  ) {
    if (context.ifMatch || context.digest !== undefined) return false;
    return id === context.newResourceId || this.beginning.has(seriesOf(stream, context));
  }

  /** @returns undefined if the guess was wrong: the stream exists, or the decision refuses an empty stream. */
  private async begin<State extends Standing, Event extends DecidedEvent>(
    handling: Handling<State, Event>,
    context: CommandContext,
  ): Promise<CommandResult | undefined> {
    try {
      return await this.attempt(handling, context, []);
    } catch (error) {
      if (error instanceof RevisionConflict || error instanceof DomainError) return undefined;
      throw error;
    }
  }

  private remember(
    { stream }: { stream: string },
    context: CommandContext,
    { created }: CommandResult,
  ): void {
    if (context.correlationId === context.commandId) return;
    if (this.beginning.size >= MAX_SERIES) this.beginning.clear();
    if (created) this.beginning.add(seriesOf(stream, context));
    else this.beginning.delete(seriesOf(stream, context));
  }

  private async attempt<State extends Standing, Event extends DecidedEvent>(
    handling: Handling<State, Event>,
    context: CommandContext,
    history: readonly RecordedEvent[],
  ): Promise<CommandResult> {
    const before = history.at(-1);
    const repeated = context.digest === undefined ? undefined : findCommand(handling.id, context, history);
    if (repeated) return repeated;

    const state = fold(handling, history);
    if (before && !holds(context, state, before.revision))
      throw new PreconditionFailed(state, before.revision);
    const decided = await handling.decide(state);
    if (decided.length === 0) {
      if (!before) throw new Error('a decision about an unknown stream must refuse or write');
      const { revision, position } = before;
      return { id: handling.id, revision, position, created: false, unchanged: true };
    }
    // Any `If-Match`, even `*`, requires that the resource exists. An unknown resource (404) comes first.
    if (!before && context.ifMatch) throw new PreconditionFailed(state, undefined);
    const metadata = metadataOf(context);
    const events = decided.map(({ type, data }) => ({ id: newId(), type, data, metadata }));
    const result = await this.store.append(handling.stream, before?.revision ?? 'no-stream', events);
    return { id: handling.id, ...result, created: !before, unchanged: false };
  }
}

/**
 * Whether the conditions hold for a stream that exists. A removed resource has no representation, so `*` does not match
 * (RFC 9110 §13.1). Revisions are compared all the same, because the answer to the removal names the revision.
 */
function holds({ ifMatch, ifNoneMatch }: CommandContext, { status }: Standing, revision: Revision): boolean {
  const matches = (wanted: 'any' | readonly Revision[]) =>
    wanted === 'any' ? status === 'live' : wanted.includes(revision);
  return (!ifMatch || matches(ifMatch)) && !(ifNoneMatch && matches(ifNoneMatch));
}

const seriesOf = (stream: string, { correlationId }: CommandContext): string =>
  `${categoryOf(stream)} ${correlationId}`;

function fold<State extends Standing, Event extends DecidedEvent>(
  { initial, evolve, flawOf }: StreamOf<State, Event>,
  history: readonly RecordedEvent[],
): State {
  let state = initial;
  history.forEach((event, index) => {
    const gap = event.revision === BigInt(index) ? undefined : 'events before it were deleted from the store';
    const flaw = event.unreadable ?? gap ?? flawOf(event);
    if (flaw !== undefined) throw new StreamNotUnderstood(event, flaw);
    state = evolve(state, event as unknown as Event);
  });
  return state;
}

/** The first answer to a repeated command, derived from the events that the command wrote. */
function findCommand(
  id: string,
  context: CommandContext,
  history: readonly RecordedEvent[],
): CommandResult | undefined {
  const written = history.filter((event) => event.metadata.commandId === context.commandId);
  const [first] = written;
  const last = written.at(-1);
  if (!first || !last) return undefined;
  if (first.metadata.digest !== context.digest) throw new IdempotencyKeyReused();
  const { revision, position } = last;
  return { id, revision, position, created: first.revision === 0n, unchanged: false };
}
