import { setTimeout } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { importAuthor, isMerged, type AuthorStanding } from '../authors/author.js';
import type { AuthorEvent } from '../authors/author.events.js';
import { Authors } from '../authors/authors.js';
import { importBook, redirectsOf } from '../books/book.js';
import { Books, named } from '../books/books.js';
import { DomainError } from '../domain-error.js';
import type { CommandContext, CommandResult } from '../commands/command-context.js';
import type { Decided } from '../commands/decided.js';
import { AppendTooLarge, EventStoreUnavailable, StreamDeleted } from '../event-store/event-store.js';
import { withoutSpans } from '../event-store/spans.js';
import { KeyedQueue, TooMuchContention } from '../commands/keyed-queue.js';
import { Schemas } from '../http/schemas.js';
import { importedIdOf, newId } from '../ids.js';
import { PoolCrowded } from '../postgres/errors.js';
import type { Redirect } from '../redirect.js';
import { lineImported } from '../signals.js';
import { DryRun, DryRunTooLarge, Room, type Outcome, type Target } from './dry-run.js';
import { lineParser, MalformedLine, type ImportLine, type LineParser } from './import-line.js';
import { MAX_LINE_BYTES, readLines, type RawLine } from './read-lines.js';

/** The outcome of one line. */
export interface LineResult {
  readonly line: number;
  readonly key: string | null;
  readonly id: string | null;
  readonly status: Outcome['status'] | 'failed';
  /** In a dry run, what a changed line would write: types of events. */
  readonly changes?: readonly string[];
  /** Merged authors that the line names, and the survivors who take their places; undefined if there are none. */
  readonly redirected?: readonly Redirect[];
  readonly error?: { readonly rule: string; readonly detail: string };
  /** Position of the last event in the line's stream; not part of the HTTP answer. */
  readonly position?: bigint;
}

type ImportContext = Pick<
  CommandContext,
  'actor' | 'onBehalfOf' | 'reason' | 'correlationId' | 'traceParent'
>;

/** Lines in progress at once: enough to fill group commits, few enough to hold in memory. */
const WINDOW = 512;
/**
 * Characters of the lines in progress at once. Their events are some ten times as long, and the store holds 64 MiB of events
 * that wait.
 */
const WINDOW_TEXT = 4 * 1_048_576;
/** How long a line may take. A store on a slow disk may take some seconds for a window. */
const LINE_PATIENCE_MS = 60_000;
/** Pause of a line that met a crowded store. */
const CROWDED_MS = 100;
/** Authors whose standing is remembered within one import, if they are linkable. */
const MAX_REMEMBERED = 200_000;
/** Others remove and merge authors during an import. A standing is asked for again after one to two times as long. */
const REMEMBERED_MS = 60_000;

/**
 * Brings the catalogue to the state that the lines want. Each line is a separate command, on an id derived from the
 * line's key. So a second run changes nothing, and a second run also resumes an import that was interrupted.
 */
@Injectable()
export class Importer {
  private readonly parseLine: LineParser;
  protected readonly room = new Room();

  constructor(
    private readonly authors: Authors,
    private readonly books: Books,
    schemas: Schemas,
  ) {
    this.parseLine = lineParser(schemas);
  }

  /**
   * @param input NDJSON, which may be compressed by gzip.
   * @param context of the import; all lines share its correlation id, each line has a command id of its own.
   * @param dry only says what each line would do.
   * @param mayGoOn whether the caller may still import, asked before each line.
   * @returns a result for every line, in order. If the data can't be read on, a dry run has no more room, or the caller
   *          may not go on, the last result says so.
   * @throws EventStoreUnavailable, which ends the import.
   */
  async *run(
    input: AsyncIterable<Uint8Array>,
    context: ImportContext,
    dry = false,
    mayGoOn = () => true,
  ): AsyncIterable<LineResult> {
    const dryRun = dry ? new DryRun(this.authors, this.books, this.room) : undefined;
    const run = new ImportRun(dryRun ?? this.log(context), this.parseLine);
    const window: { readonly result: Promise<LineResult>; readonly length: number }[] = [];
    let text = 0;
    const lines = readLines(input);
    let next: Promise<IteratorResult<RawLine, void>> | undefined = lines.next();
    try {
      for (;;) {
        const [first] = window;
        const full = window.length === WINDOW || text >= WINDOW_TEXT;
        if (first && (!next || full || (await settlesFirst(first.result, next)))) {
          const result = await first.result;
          yield result;
          if (result.error?.rule === NO_ROOM) return;
          window.shift();
          text -= first.length;
        } else if (next) {
          const { done, value } = await next;
          if (done) next = undefined;
          else {
            const goesOn = mayGoOn();
            const result = goesOn ? run.take(value) : Promise.resolve(refused(value));
            // A line that is under way when the reader leaves counts too. A failure is reported at the line's turn. Until
            // then it must not count as an unhandled rejection.
            result.then(
              ({ status }) => dry || lineImported.tell(status),
              () => undefined,
            );
            const length = 'text' in value ? value.text.length : 0;
            window.push({ result, length });
            text += length;
            next = goesOn ? lines.next() : undefined;
          }
        } else return;
      }
    } finally {
      // If the client leaves or the store fails, lines in progress still finish, but nobody reads their results.
      void next?.catch(() => undefined);
      await Promise.allSettled(window.map(({ result }) => result));
      dryRun?.end();
      // Not awaited: the return may queue behind a read of a line that never arrives.
      void lines.return().catch(() => undefined);
    }
  }

  private log(of: ImportContext): Target {
    const context = () => ({ ...of, commandId: newId() });
    return {
      author: (id, decide) =>
        withoutSpans(async () =>
          outcomeOf(await this.authors.change(id, context(), decide, LINE_PATIENCE_MS)),
        ),
      book: (id, decide) =>
        withoutSpans(async () => outcomeOf(await this.books.change(id, context(), decide, LINE_PATIENCE_MS))),
      standingOf: (authorId) => this.authors.standingOf(authorId),
    };
  }
}

const outcomeOf = ({ created, unchanged, position, redirected }: CommandResult): Outcome => ({
  status: created ? 'added' : unchanged ? 'unchanged' : 'changed',
  position,
  ...(redirected && { redirected }),
});

/** Whether `one` settles before `other`. A finished result must not wait for an input line that doesn't arrive. */
const settlesFirst = (one: Promise<unknown>, other: Promise<unknown>): Promise<boolean> =>
  Promise.race([other.then(() => false), one.then(() => true)]);

/** One import. Runs lines of the same key in order, and remembers the standing of authors. */
class ImportRun {
  private readonly queue = new KeyedQueue();
  private known = new Map<string, Promise<AuthorStanding>>();
  /** What was remembered before {@link turnedAt}. */
  private older: ReadonlyMap<string, Promise<AuthorStanding>> = new Map();
  private turnedAt = performance.now();
  private readonly authorIds = new Map<string, string>();
  /** The error outside the lines that ends the import. Lines that still wait are not begun. */
  private fault: Error | undefined;

  constructor(
    private readonly target: Target,
    private readonly parseLine: LineParser,
  ) {}

  /** A faulty line gives a failed result; the promise rejects only for faults outside the line. */
  async take(raw: RawLine): Promise<LineResult> {
    const line = raw.number;
    let parsed: ImportLine;
    try {
      parsed = this.parseLine(textOf(raw));
    } catch (error) {
      if (!(error instanceof MalformedLine)) throw error;
      const { rule, message: detail, key } = error;
      return { line, key, id: null, status: 'failed', error: { rule, detail } };
    }
    const { key, type } = parsed;
    const id = this.idOf(type, key);
    const work = this.queue.run(id, () => this.write(id, parsed));
    // Books on later lines ask the author's line, in progress or done, instead of the store.
    if (type === 'author')
      void this.remember(
        id,
        work.then(
          ({ redirected }) => (redirected ? this.target.standingOf(id) : { id, status: 'live' }),
          () => this.target.standingOf(id),
        ),
      );
    try {
      return { line, key, id, ...(await work) };
    } catch (error) {
      const reason = explain(error);
      if (reason) return { line, key, id, status: 'failed', error: reason };
      this.fault = error as Error;
      throw error;
    }
  }

  /** Lines wait while the store is crowded: nothing was done yet, and the crowd may be this import. */
  private async write(id: string, line: ImportLine): Promise<Outcome> {
    for (const deadline = performance.now() + LINE_PATIENCE_MS; ; await setTimeout(CROWDED_MS)) {
      if (this.fault) throw this.fault;
      try {
        return await this.change(id, line);
      } catch (error) {
        const crowded = error instanceof EventStoreUnavailable && error.cause instanceof PoolCrowded;
        if (!crowded || performance.now() >= deadline) throw error;
      }
    }
  }

  private change(id: string, line: ImportLine): Promise<Outcome> {
    const { key } = line;
    if (line.type === 'author')
      return this.target.author(id, (author) => {
        const events = importAuthor(author, { key, name: line.name });
        return isMerged(author) ? this.naming(id, events) : events;
      });
    return this.target.book(id, async (book) => {
      const asking = line.authors?.map(async ({ author, roles, creditedAs }) => {
        const authorId = this.idOf('author', author);
        // The line states the whole link: a field that the line leaves out gets the default, not the current value.
        const whole = {
          roles: roles?.length ? roles : (['author'] as const),
          creditedAs: creditedAs ?? null,
        };
        return named({ authorId, ...whole }, await this.standingOf(authorId));
      });
      const authors = asking && (await Promise.all(asking));
      const events = importBook(book, { key, ...line.title, authors });
      return { events, redirected: redirectsOf(book, authors ?? []) };
    });
  }

  /** A decision about a merged author, with the survivor. */
  private async naming(from: string, events: readonly AuthorEvent[]): Promise<Decided<AuthorEvent>> {
    const { id: to } = await this.target.standingOf(from);
    return { events, redirected: to === from ? [] : [{ from, to }] };
  }

  /** Authors stand in many lines. To derive an id takes 8 µs. */
  private idOf(type: ImportLine['type'], key: string): string {
    if (type === 'book') return importedIdOf(type, key);
    const known = this.authorIds.get(key);
    if (known !== undefined) return known;
    const id = importedIdOf(type, key);
    if (this.authorIds.size >= MAX_REMEMBERED) this.authorIds.clear();
    this.authorIds.set(key, id);
    return id;
  }

  private standingOf(id: string): Promise<AuthorStanding> {
    if (performance.now() - this.turnedAt > REMEMBERED_MS) {
      this.older = this.known;
      this.known = new Map();
      this.turnedAt = performance.now();
    }
    return this.known.get(id) ?? this.older.get(id) ?? this.remember(id, this.target.standingOf(id));
  }

  private remember(id: string, asked: Promise<AuthorStanding>): Promise<AuthorStanding> {
    const oldest = this.known.size < MAX_REMEMBERED ? undefined : this.known.keys().next().value;
    if (oldest !== undefined) this.known.delete(oldest);
    this.known.set(id, asked);
    const forget = () => this.known.get(id) === asked && this.known.delete(id);
    // Forget a missing author, since a later line may add that author. Forget a failed read, so the next book retries.
    // This also hears the failure of an author's line that no book asks about.
    asked.then(({ status }) => status !== 'live' && forget(), forget);
    return asked;
  }
}

/** @throws MalformedLine if the line is too long or isn't UTF-8. */
function textOf(raw: RawLine): string {
  if ('tooLong' in raw) throw new MalformedLine('too-long', `longer than ${MAX_LINE_BYTES} bytes`);
  if ('notUtf8' in raw) throw new MalformedLine('utf-8', 'not UTF-8');
  if ('unreadable' in raw) throw new MalformedLine(raw.unreadable.rule, raw.unreadable.message);
  return raw.text;
}

/** The result of the line at which the caller had no valid token any more. No later line is read. */
const refused = ({ number }: RawLine): LineResult => ({
  line: number,
  key: null,
  id: null,
  status: 'failed',
  error: {
    rule: 'unauthorized',
    detail: 'the token is no longer valid; this line and later lines were not done',
  },
});

/** After this failure, a dry run can't say more. */
const NO_ROOM = 'dry-run-too-large';

/** The reason why a line failed; undefined for an error that isn't the line's fault, which ends the import. */
function explain(error: unknown): LineResult['error'] {
  if (error instanceof DomainError)
    return { rule: error.rule, detail: `${error.pointer ?? ''} ${error.message}`.trim() };
  if (error instanceof AppendTooLarge) return { rule: 'too-large', detail: error.message };
  if (error instanceof StreamDeleted) return { rule: 'stream-deleted', detail: error.message };
  if (error instanceof DryRunTooLarge) return { rule: NO_ROOM, detail: error.message };
  if (error instanceof TooMuchContention) return { rule: 'contention', detail: error.message };
  return undefined;
}
