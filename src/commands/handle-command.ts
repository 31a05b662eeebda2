import { Injectable } from '@nestjs/common';
import { DomainError, type RefusalKind } from '../domain-error.js';
import { categoryOf, EventStore, RevisionConflict, type RecordedEvent } from '../event-store/event-store.js';
import { newId } from '../ids.js';
import { metadataOf, type CommandContext, type CommandResult } from './command-context.js';
import { IdempotencyKeys, type RememberedAnswer } from './idempotency-keys.js';
import { KeyedQueue } from './keyed-queue.js';

/** An event that a decision returns. The handler adds id and metadata at the append. */
export interface DecidedEvent {
  readonly type: string;
  readonly data: object;
}

/** The parts of a command: the stream, how to fold the stream, and the pure decision. */
export interface Handling<State, Event extends DecidedEvent> {
  readonly id: string;
  readonly stream: string;
  readonly initial: State;
  readonly evolve: (state: State, event: Event) => State;
  readonly decide: (state: State) => readonly Event[] | Promise<readonly Event[]>;
  /** Why an event can't be one of such a stream; undefined if the event can be one. */
  readonly flawOf: (event: DecidedEvent) => string | undefined;
}

/** What it takes to fold a stream. */
type StreamOf<State, Event extends DecidedEvent> = Pick<
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

/** `If-Match` named revisions, and the stream is at another revision. */
export class PreconditionFailed extends Error {
  /** @param actual the stream's revision; undefined if the stream doesn't exist. */
  constructor(readonly actual: bigint | undefined) {
    super(actual === undefined ? 'The resource does not exist yet.' : `The revision is ${actual}.`);
  }
}

/** An earlier request had the same `Idempotency-Key` and another content. */
export class IdempotencyKeyReused extends Error {
  override message = 'This Idempotency-Key was used for another request.';
}

/** A rule refused the command, in this try or in the first. */
class Refusal extends DomainError {
  readonly kind: RefusalKind;
  readonly rule: string;

  constructor({ refusal, rule, message, pointer }: Extract<RememberedAnswer, { kind: 'refused' }>) {
    super(message);
    this.kind = refusal;
    this.rule = rule;
    if (pointer !== null) this.at(pointer);
  }
}

/** Other writers appended first, in each of the {@link MAX_ATTEMPTS} attempts. */
export class TooMuchContention extends Error {
  override message = 'Other changes to the same resource were faster every time.';
}

/** Commands of one process take turns on a stream, so only another process can cause a conflict. Two are rare. */
const MAX_ATTEMPTS = 8;
/** From this revision on, a stream's state is kept between commands: reading 1,000 events takes some milliseconds. */
const LONG_STREAM = 1_000n;
/** Largest number of states kept. A state has at most some MB: 1,000 links with long credits. */
const MAX_LONG = 100;
/** Largest number of series in {@link CommandHandling.beginning}. */
const MAX_SERIES = 1_000;

/** Runs a command: load the stream, fold, decide, append. Starts over if another append moved the stream meanwhile. */
@Injectable()
export class CommandHandling {
  private readonly queue = new KeyedQueue();
  /** States of long streams, the ones used last at the end. */
  private readonly long = new Map<string, Folded<unknown>>();
  /** Series, each of one category, whose last command created a stream: see {@link isLikelyNew}. */
  private readonly beginning = new Set<string>();

  constructor(
    private readonly store: EventStore,
    private readonly keys: IdempotencyKeys,
  ) {}

  /**
   * @throws DomainError if a rule refuses the command. Nothing was written.
   * @throws PreconditionFailed, IdempotencyKeyReused, TooMuchContention, and the errors of {@link EventStore.append}.
   */
  async handle<State, Event extends DecidedEvent>(
    handling: Handling<State, Event>,
    context: CommandContext,
  ): Promise<CommandResult> {
    const guessed = this.isLikelyNew(handling, context) ? await this.begin(handling, context) : undefined;
    const result = guessed ?? (await this.change(handling, context));
    this.remember(handling, context, result);
    return result;
  }

  /** The current state of a stream, for a decision about another stream. */
  async load<State, Event extends DecidedEvent>(handling: StreamOf<State, Event>): Promise<State> {
    return (await this.fold(handling)).state;
  }

  /** Folds a stream. Of a long stream, only what came since the last fold of this process is read. */
  private async fold<State, Event extends DecidedEvent>(
    handling: StreamOf<State, Event>,
  ): Promise<Folded<State>> {
    const { stream } = handling;
    const kept = this.long.get(stream) as Folded<State> | undefined;
    if (kept?.last) {
      const { last } = kept;
      // The last event is read again: a stream that was deleted or cut behind our back is folded anew.
      const [again, ...since] = await this.store.readStream(stream, { after: last.revision - 1n });
      this.long.delete(stream);
      if (again?.id === last.id) return this.keep(stream, foldOn(handling, kept, since));
    }
    return this.keep(stream, foldOn(handling, begun(handling), await this.store.readStream(stream)));
  }

  private keep<State>(stream: string, folded: Folded<State>): Folded<State> {
    if (!folded.last || folded.last.revision < LONG_STREAM) return folded;
    const oldest = this.long.size < MAX_LONG ? undefined : this.long.keys().next().value;
    if (oldest !== undefined) this.long.delete(oldest);
    this.long.set(stream, folded);
    return folded;
  }

  private change<State, Event extends DecidedEvent>(
    handling: Handling<State, Event>,
    context: CommandContext,
  ): Promise<CommandResult> {
    return this.queue.run(handling.stream, async () => {
      for (let attempt = 1; ; attempt += 1) {
        try {
          if (context.digest === undefined)
            return await this.attempt(handling, context, await this.fold(handling));
          // A command that may be a repeat is looked for in all of the stream.
          const history = await this.store.readStream(handling.stream);
          const repeated = findCommand(handling.id, context, history);
          return (
            repeated ?? (await this.attempt(handling, context, foldOn(handling, begun(handling), history)))
          );
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
  private async begin<State, Event extends DecidedEvent>(
    handling: Handling<State, Event>,
    context: CommandContext,
  ): Promise<CommandResult | undefined> {
    try {
      return await this.attempt(handling, context, begun(handling));
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

  private async attempt<State, Event extends DecidedEvent>(
    handling: Handling<State, Event>,
    context: CommandContext,
    folded: Folded<State>,
  ): Promise<CommandResult> {
    const before = folded.last;
    const decision = await decide(handling, context, folded);
    const answer = await this.claim(handling.stream, context, before?.revision ?? -1n, decision);
    if (answer) return resultOf(answer);
    const decided = 'events' in decision ? decision.events : [];
    const metadata = metadataOf(context);
    const events = decided.map(({ type, data }) => ({ id: newId(), type, data, metadata }));
    const result = await this.store.append(handling.stream, before?.revision ?? 'no-stream', events);
    return { id: handling.id, ...result, created: !before, unchanged: false };
  }

  /** @returns the answer, unless the command is to write. A repeatable command gets the answer that its first try got. */
  private async claim<Event>(
    stream: string,
    { commandId, digest }: CommandContext,
    revision: bigint,
    decision: Decision<Event>,
  ): Promise<RememberedAnswer | undefined> {
    const answer = 'answer' in decision ? decision.answer : undefined;
    if (digest === undefined) return answer;
    const claimed = await this.keys.claim({ commandId, digest, revision, ...(answer && { answer }) });
    if (claimed.outcome === 'reused') throw new IdempotencyKeyReused();
    if (claimed.outcome === 'outrun') throw new RevisionConflict(stream, revision, claimed.revision);
    return claimed.outcome === 'answered' ? claimed.answer : answer;
  }
}

const seriesOf = (stream: string, { correlationId }: CommandContext): string =>
  `${categoryOf(stream)} ${correlationId}`;

/** A stream's state, and the last event in it. */
interface Folded<State> {
  readonly state: State;
  readonly last: Pick<RecordedEvent, 'id' | 'revision' | 'position'> | undefined;
}

const begun = <State>({ initial }: Pick<Handling<State, never>, 'initial'>): Folded<State> => ({
  state: initial,
  last: undefined,
});

function foldOn<State, Event extends DecidedEvent>(
  { evolve, flawOf }: StreamOf<State, Event>,
  { state, last }: Folded<State>,
  events: readonly RecordedEvent[],
): Folded<State> {
  let next = last ? last.revision + 1n : 0n;
  for (const event of events) {
    const gap = event.revision === next ? undefined : 'events before it were deleted from the store';
    const flaw = event.unreadable ?? gap ?? flawOf(event);
    if (flaw !== undefined) throw new StreamNotUnderstood(event, flaw);
    state = evolve(state, event as unknown as Event);
    next += 1n;
  }
  const end = events.at(-1) ?? last;
  // Only what later commands need: data of the event may be large.
  return { state, last: end && { id: end.id, revision: end.revision, position: end.position } };
}

type Decision<Event> = { readonly events: readonly Event[] } | { readonly answer: RememberedAnswer };

/** What the command does in this state: events to write, or an answer without any. */
async function decide<State, Event extends DecidedEvent>(
  handling: Handling<State, Event>,
  { ifMatch }: CommandContext,
  { state, last: before }: Folded<State>,
): Promise<Decision<Event>> {
  if (before && ifMatch && ifMatch !== 'any' && !ifMatch.includes(before.revision))
    return { answer: { kind: 'precondition-failed', actual: before.revision.toString() } };
  let events: readonly Event[];
  try {
    events = await handling.decide(state);
  } catch (error) {
    // An event that this version can't read is no answer of the domain: a newer version may read it.
    if (!(error instanceof DomainError) || error instanceof StreamNotUnderstood) throw error;
    const { kind: refusal, rule, message, pointer = null } = error;
    return { answer: { kind: 'refused', refusal, rule, message, pointer } };
  }
  if (events.length > 0) {
    // Any `If-Match`, even `*`, requires that the resource exists.
    return !before && ifMatch ? { answer: { kind: 'precondition-failed', actual: null } } : { events };
  }
  if (!before) throw new Error('a decision about an unknown stream must refuse or write');
  const [revision, position] = [before.revision.toString(), before.position.toString()];
  return { answer: { kind: 'unchanged', id: handling.id, revision, position } };
}

/** @throws Refusal, PreconditionFailed */
function resultOf(answer: RememberedAnswer): CommandResult {
  switch (answer.kind) {
    case 'unchanged': {
      const { id, revision, position } = answer;
      return { id, revision: BigInt(revision), position: BigInt(position), created: false, unchanged: true };
    }
    case 'precondition-failed':
      throw new PreconditionFailed(answer.actual === null ? undefined : BigInt(answer.actual));
    case 'refused':
      throw new Refusal(answer);
  }
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
