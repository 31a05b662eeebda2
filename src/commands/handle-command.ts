import { Injectable } from '@nestjs/common';
import { DomainError } from '../domain-error.js';
import { categoryOf, EventStore, RevisionConflict, type RecordedEvent } from '../event-store/event-store.js';
import { newId } from '../ids.js';
import { metadataOf, type CommandContext, type CommandResult } from './command-context.js';
import { KeyedQueue } from './keyed-queue.js';

/** An event as a decision makes it; id and metadata come with the append. */
export interface DecidedEvent {
  readonly type: string;
  readonly data: object;
}

/** What a command needs: its stream, how to fold it, and the pure decision. */
export interface Handling<State, Event extends DecidedEvent> {
  readonly id: string;
  readonly stream: string;
  readonly initial: State;
  readonly evolve: (state: State, event: Event) => State;
  readonly decide: (state: State) => readonly Event[] | Promise<readonly Event[]>;
}

/** `If-Match` named another revision than the stream's. */
export class PreconditionFailed extends Error {
  /** @param actual undefined if there is nothing yet. */
  constructor(readonly actual: bigint | undefined) {
    super(actual === undefined ? 'There is nothing with a revision yet.' : `The revision is ${actual}.`);
  }
}

/** The `Idempotency-Key` was used before, for another request. */
export class IdempotencyKeyReused extends Error {
  override message = 'This Idempotency-Key was used for another request.';
}

/** Other writers were faster every time. */
export class TooMuchContention extends Error {
  override message = 'Other changes to the same resource kept getting in first.';
}

/** Commands of one process to one stream take turns, so a conflict means another process; it rarely strikes twice. */
const MAX_ATTEMPTS = 8;
/** Series of commands whose last one is remembered. */
const MAX_SERIES = 1_000;

/** A command's way: load the stream, fold it, decide, append; again from the start if the stream moved meanwhile. */
@Injectable()
export class CommandHandling {
  private readonly queue = new KeyedQueue();
  /** Series, each of one category, whose last command began a stream: see {@link isLikelyNew}. */
  private readonly beginning = new Set<string>();

  constructor(private readonly store: EventStore) {}

  /**
   * @throws DomainError if a rule refuses the command; then nothing was written.
   * @throws PreconditionFailed, IdempotencyKeyReused, TooMuchContention; and what {@link EventStore} throws.
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

  /** The state of a stream now, for a decision about another one. */
  async load<State, Event extends DecidedEvent>(
    handling: Pick<Handling<State, Event>, 'stream' | 'initial' | 'evolve'>,
  ): Promise<State> {
    return fold(handling, await this.store.readStream(handling.stream));
  }

  private change<State, Event extends DecidedEvent>(
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
   * Whether the stream hardly exists: its id was made for this command, or the last command of the same series (an
   * import, say) began a stream too. Such a stream is written without being read, which saves an import half its time.
   */
  private isLikelyNew(
    { id, stream }: Pick<Handling<never, never>, 'id' | 'stream'>,
    context: CommandContext,
  ) {
    if (context.ifMatch || context.digest !== undefined) return false;
    return id === context.newResourceId || this.beginning.has(seriesOf(stream, context));
  }

  /** @returns undefined if the guess was wrong: the stream is there, or nothing can be begun. */
  private async begin<State, Event extends DecidedEvent>(
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

  private async attempt<State, Event extends DecidedEvent>(
    handling: Handling<State, Event>,
    context: CommandContext,
    history: readonly RecordedEvent[],
  ): Promise<CommandResult> {
    const before = history.at(-1);
    const repeated = context.digest === undefined ? undefined : findCommand(handling.id, context, history);
    if (repeated) return repeated;

    const state = fold(handling, history);
    const { ifMatch } = context;
    if (before && ifMatch && ifMatch !== 'any' && !ifMatch.includes(before.revision))
      throw new PreconditionFailed(before.revision);
    const decided = await handling.decide(state);
    if (decided.length === 0) {
      if (!before) throw new Error('a decision about an unknown stream must refuse or write');
      const { revision, position } = before;
      return { id: handling.id, revision, position, created: false, unchanged: true };
    }
    // Whatever the caller has seen, it isn't there.
    if (!before && ifMatch) throw new PreconditionFailed(undefined);
    const metadata = metadataOf(context);
    const events = decided.map(({ type, data }) => ({ id: newId(), type, data, metadata }));
    const result = await this.store.append(handling.stream, before?.revision ?? 'no-stream', events);
    return { id: handling.id, ...result, created: !before, unchanged: false };
  }
}

const seriesOf = (stream: string, { correlationId }: CommandContext): string =>
  `${categoryOf(stream)} ${correlationId}`;

function fold<State, Event extends DecidedEvent>(
  { initial, evolve }: Pick<Handling<State, Event>, 'initial' | 'evolve'>,
  history: readonly RecordedEvent[],
): State {
  return history.reduce((state, event) => evolve(state, event as unknown as Event), initial);
}

/** The answer a repeated command got the first time, rebuilt from the events it wrote. */
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
