import { setTimeout } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { DomainError, type RefusalKind } from '../domain-error.js';
import {
  categoryOf,
  EventStore,
  EventStoreUnavailable,
  RevisionConflict,
  type Position,
  type RecordedEvent,
  type Revision,
} from '../event-store/event-store.js';
import { inSpan } from '../event-store/spans.js';
import { within } from '../event-store/within.js';
import { newId } from '../ids.js';
import { metadataOf, type CommandContext, type CommandResult } from './command-context.js';
import { partsOf, type Decide, type Parts } from './decided.js';
import { IdempotencyKeys, type Claim, type RememberedAnswer } from './idempotency-keys.js';
import { KeyedQueue, TooMuchContention } from './keyed-queue.js';
import {
  begun,
  foldOn,
  StreamNotUnderstood,
  Streams,
  type DecidedEvent,
  type Folded,
  type Standing,
  type StreamOf,
} from './streams.js';

/** The parts of a command: the stream, how to fold the stream, and the pure decision. */
export interface Handling<State extends Standing, Event extends DecidedEvent> extends StreamOf<State, Event> {
  readonly id: string;
  readonly decide: Decide<State, Event>;
}

/** `If-Match` or `If-None-Match` doesn't hold for the stream. */
export class PreconditionFailed extends Error {
  /** @param actual the stream's revision; undefined if the stream doesn't exist. */
  constructor(
    status: Standing['status'],
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

/** A rule refused the command, in this try or in the first. */
class Refusal extends DomainError {
  readonly kind: RefusalKind;
  readonly rule: string;
  override readonly members: DomainError['members'];

  constructor(answer: Extract<RememberedAnswer, { kind: 'refused' }>) {
    const { refusal, rule, message, pointer, members = {} } = answer;
    super(message);
    this.members = members;
    this.kind = refusal;
    this.rule = rule;
    if (pointer !== null) this.at(pointer);
  }
}

/**
 * How long a command may take, the wait for other commands on its stream included. A store repeats an append for 6
 * seconds at most. Its own answer should come first.
 */
export const PATIENCE_MS = 8_000;
/** Commands that wait for one stream. Each holds a body of 1 MiB at most. */
const MAX_WAITING = 256;
/** Commands that wait, for whatever stream: so crowds at some streams leave room for requests about others. */
const MAX_WAITING_IN_ALL = 4_000;
/**
 * Commands of one process take turns on a stream, so only another process can cause a conflict. The pause after a
 * conflict is random, and grows to this length. A longer pause would leave the stream to the other process.
 */
const FIRST_PAUSE_MS = 4;
const LONGEST_PAUSE_MS = 64;
/** Largest number of series in {@link CommandHandling.beginning}. */
const MAX_SERIES = 1_000;

/** Runs a command: load the stream, fold, decide, append. Starts over if another append moved the stream meanwhile. */
@Injectable()
export class CommandHandling {
  private readonly queue = new KeyedQueue(MAX_WAITING, MAX_WAITING_IN_ALL);
  private readonly streams: Streams;
  /** Series, each of one category, whose last command created a stream: see {@link isLikelyNew}. */
  private readonly beginning = new Set<string>();

  constructor(
    private readonly store: EventStore,
    private readonly keys: IdempotencyKeys,
  ) {
    this.streams = new Streams(store);
  }

  /**
   * @param patienceMs covers the wait for other commands on the stream, and the work. A command that is late is not
   *        begun, and an append that is late is not begun.
   * @throws DomainError if a rule refuses the command. Nothing was written.
   * @throws TooMuchContention if the command's turn did not come in time. Nothing was written.
   * @throws PreconditionFailed, IdempotencyKeyReused, and the errors of {@link EventStore.append}.
   */
  async handle<State extends Standing, Event extends DecidedEvent>(
    handling: Handling<State, Event>,
    context: CommandContext,
    patienceMs = PATIENCE_MS,
  ): Promise<CommandResult> {
    const deadline = performance.now() + patienceMs;
    const guessed = this.isLikelyNew(handling, context)
      ? await within(deadline, this.begin(handling, context, deadline))
      : undefined;
    const result = guessed ?? (await this.change(handling, context, deadline));
    this.remember(handling, context, result);
    return result;
  }

  /**
   * What a command would write and say now. Nothing is written, and no idempotency key is claimed.
   * @throws what {@link handle} throws if the command is refused.
   */
  async preview<State extends Standing, Event extends DecidedEvent>(
    handling: Handling<State, Event>,
    context: CommandContext,
  ): Promise<Parts<Event>> {
    const decision = await decide(handling, context, await this.streams.fold(handling));
    if ('events' in decision) return decision;
    const { redirected = [] } = resultOf(decision.answer, context);
    return partsOf({ events: [], redirected });
  }

  /**
   * The state of a stream, for a decision about another stream.
   * @param at the state at this position; the current state by default.
   */
  async load<State extends Standing, Event extends DecidedEvent>(
    of: StreamOf<State, Event>,
    at?: Position,
  ): Promise<State> {
    if (at === undefined) return (await this.streams.fold(of)).state;
    const history = await this.store.readStream(of.stream);
    const until = history.filter((event) => event.position <= at);
    return foldOn(of, begun(of), until).state;
  }

  private change<State extends Standing, Event extends DecidedEvent>(
    handling: Handling<State, Event>,
    context: CommandContext,
    deadline: number,
  ): Promise<CommandResult> {
    const work = async () => {
      for (let longest = FIRST_PAUSE_MS; ; longest = Math.min(2 * longest, LONGEST_PAUSE_MS)) {
        try {
          if (context.digest === undefined)
            return await this.attempt(handling, context, await this.streams.fold(handling), deadline);
          // A command that may be a repeat is looked for in all of the stream.
          const history = await this.store.readStream(handling.stream);
          const repeated = findCommand(handling.id, context, history);
          if (repeated) return repeated;
          return await this.attempt(handling, context, foldOn(handling, begun(handling), history), deadline);
        } catch (error) {
          if (!(error instanceof RevisionConflict)) throw error;
          if (performance.now() + longest >= deadline) throw new TooMuchContention();
          await setTimeout(Math.random() * longest);
        }
      }
    };
    return this.queue.run(handling.stream, work, deadline);
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
    deadline: number,
  ): Promise<CommandResult | undefined> {
    try {
      return await this.attempt(handling, context, begun(handling), deadline);
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
    folded: Folded<State>,
    deadline: number,
  ): Promise<CommandResult> {
    const before = folded.last;
    const decision = await decide(handling, context, folded);
    const decided = 'answer' in decision ? decision.answer : undefined;
    const { commandId, digest } = context;
    const revision = before?.revision ?? -1n;
    const answer =
      digest === undefined
        ? decided
        : await this.claim(handling.stream, { commandId, digest, revision, answer: decided });
    if (answer) return resultOf(answer, context);
    // By now the caller has been told that the outcome is unknown.
    if (performance.now() >= deadline) throw new EventStoreUnavailable(new Error('too late to append'));
    const metadata = metadataOf(context);
    const { events: decidedNow, ...redirects } = 'events' in decision ? decision : { events: [] };
    const events = decidedNow.map(({ type, data }) => ({ id: newId(), type, data, metadata }));
    const { stream } = handling;
    const result = await inSpan(
      'append',
      () => ({ attributes: { 'colophon.stream': stream, 'colophon.events': events.length } }),
      () => this.store.append(stream, before?.revision ?? 'no-stream', events),
    );
    const { correlationId: change } = context;
    return { id: handling.id, ...result, created: !before, unchanged: false, change, ...redirects };
  }

  /** @returns the answer, unless the command is to write. A repeat gets the answer that the first try got. */
  private async claim(stream: string, claim: Claim): Promise<RememberedAnswer | undefined> {
    const claimed = await this.keys.claim(claim);
    if (claimed.outcome === 'reused') throw new IdempotencyKeyReused();
    if (claimed.outcome === 'outrun') throw new RevisionConflict(stream, claim.revision, claimed.revision);
    return claimed.outcome === 'answered' ? claimed.answer : claim.answer;
  }
}

const seriesOf = (stream: string, { correlationId }: CommandContext): string =>
  `${categoryOf(stream)} ${correlationId}`;

type Decision<Event> = Parts<Event> | { readonly answer: RememberedAnswer };

/** What the command does in this state: events to write, or an answer without any. */
async function decide<State extends Standing, Event extends DecidedEvent>(
  handling: Handling<State, Event>,
  context: CommandContext,
  { state, last: before }: Folded<State>,
): Promise<Decision<Event>> {
  const { status } = state;
  if (before && !holds(context, state, before.revision))
    return { answer: { kind: 'precondition-failed', status, actual: before.revision.toString() } };
  let decided: Parts<Event>;
  try {
    decided = partsOf(await handling.decide(state));
  } catch (error) {
    // An event that this version can't read is no answer of the domain: a newer version may read it.
    if (!(error instanceof DomainError) || error instanceof StreamNotUnderstood) throw error;
    const { kind: refusal, rule, message, pointer = null, members } = error;
    return { answer: { kind: 'refused', refusal, rule, message, pointer, members } };
  }
  // Any `If-Match`, even `*`, requires that the resource exists. An unknown resource (404) comes first.
  if (!before && context.ifMatch) return { answer: { kind: 'precondition-failed', status, actual: null } };
  const { events, ...redirects } = decided;
  if (events.length > 0) return decided;
  if (!before) throw new Error('a decision about an unknown stream must refuse or write');
  const { change } = before;
  const [revision, position] = [before.revision.toString(), before.position.toString()];
  return { answer: { kind: 'unchanged', id: handling.id, revision, position, change, ...redirects } };
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

/** @throws Refusal, PreconditionFailed */
function resultOf(answer: RememberedAnswer, { correlationId }: CommandContext): CommandResult {
  switch (answer.kind) {
    case 'unchanged': {
      const { kind: _, change = correlationId, ...rest } = answer;
      const [revision, position] = [BigInt(answer.revision), BigInt(answer.position)];
      return { ...rest, revision, position, created: false, unchanged: true, change };
    }
    case 'precondition-failed':
      throw new PreconditionFailed(answer.status, answer.actual === null ? undefined : BigInt(answer.actual));
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
  const change = last.metadata.correlationId;
  return { id, revision, position, created: first.revision === 0n, unchanged: false, change, repeated: true };
}
