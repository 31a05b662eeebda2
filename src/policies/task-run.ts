import type { Logger } from '@nestjs/common';
import { SpanKind } from '@opentelemetry/api';
import { AUTHOR, type AuthorEvent, type BooksOfRemoved } from '../authors/author.events.js';
import { joinSurvivor, leaveRemovedAuthor } from '../books/book-cascade.js';
import { BOOK } from '../books/book.events.js';
import type { ChangeEvent } from '../changes/change.events.js';
import type { LinkedBooks } from '../changes/linked-books.js';
import type { LeftAlone, Undo } from '../changes/reversal.js';
import { Reverts } from '../changes/reverts.js';
import { understoodBook } from '../changes/understood.js';
import { Undoing } from '../changes/undoing.js';
import type { DecidedEvent } from '../commands/streams.js';
import {
  categoryOf,
  idOf,
  StreamDeleted,
  type EventStore,
  type Position,
  type RecordedEvent,
} from '../event-store/event-store.js';
import { inSpan, linksTo } from '../event-store/spans.js';
import type { StreamFilter, StreamPage, StreamSearch } from '../event-store/stream-search.js';
import { LeadLost } from '../followers/follower.js';
import { idOfChange } from '../http/observe.js';
import { isUuid } from '../stored-data.js';
import type { Cause, Effects } from './effects.js';
import { isOutage, type Patience } from './patience.js';
import type { Findings, LeftFact, OpenTask, PolicyTables, Progress } from './policy-tables.js';
import { MOST_STREAMS } from './room.js';
import type { Survivors } from './survivors.js';
import { TRIGGERS } from './take-in.js';

/** What tasks work with. */
export interface Tools {
  readonly store: EventStore;
  readonly tables: PolicyTables;
  readonly streams: StreamSearch;
  readonly books: LinkedBooks;
  readonly patience: Patience;
  readonly effects: Effects;
  readonly survivors: Survivors;
  readonly logger: Pick<Logger, 'error'>;
  /** Waits until policies themselves have taken in the log up to a position. */
  readonly takenIn: (position: Position) => Promise<void>;
}

/** The events for a stream, and what stays as it is. */
interface Decision {
  readonly events: readonly DecidedEvent[];
  readonly left?: readonly LeftAlone[];
}

/** An event to which policies reacted. */
type Reaction = Pick<RecordedEvent, 'id' | 'stream'>;

type Decide = (history: readonly RecordedEvent[]) => Decision | Promise<Decision>;

/** A part of a task: a search for streams, and a decision about each. */
interface Part {
  readonly category: string;
  readonly search: (filter: StreamFilter) => Promise<StreamPage>;
  /**
   * Called before each page of streams.
   * @returns the decision; undefined if the fact that the task carries out does not stand any more.
   */
  readonly begin: (streams: readonly string[]) => Promise<Decide | undefined>;
}

/**
 * Streams of a task at once. Others hardly wait: with 8, a merge of 5,000 books took 2.1 s, and the p99 of other commands
 * went from 8 to 15–27 ms; with 64, 1.8 s and 40–90 ms. A task that is longer than that would take minutes, and takes
 * all the room that there is.
 */
const CALM_LANES = 8;
const LONG_TASK = 10_000;
/** How long an author counts as removed or merged without being asked about. */
const STANDS_MS = 100;
/** The progress of long tasks is written this often, and after so many findings. */
const RECORD_MS = 1_000;
const MOST_FINDINGS = 10_000;

/** Time between two looks at the tasks of a change that is reverted, and the longest wait for them. */
const SETTLING_MS = 50;
const SETTLED_MS = 30_000;

/** Names of streams that a task remembers, some 20 MB. To look at a stream twice does no harm. */
const MOST_SEEN = 200_000;

/** Carries out one task, from where it stands. Progress is written about once a second, never for each stream. */
export class TaskRun {
  private readonly reverts: Reverts;
  private readonly read: (stream: string) => Promise<readonly RecordedEvent[]>;
  private parked: { stream: string; error: string }[] = [];
  private left: LeftFact[] = [];
  private changed: number;
  private written: Position = -1n;
  private handled = 0;
  private recordedAt = performance.now();

  constructor(
    private readonly tools: Tools,
    private readonly task: OpenTask,
    /** Whether the task may have been done before: its cause is older than this leader. */
    private readonly again: boolean,
  ) {
    const { store, patience } = tools;
    this.changed = task.changed;
    this.read = (stream) => patience.until(() => store.readStream(stream));
    this.reverts = new Reverts({ readStream: this.read });
  }

  /** @throws GivenUp, AnotherLog. Whatever else fails is parked with the stream that it concerns. */
  async run(): Promise<void> {
    const [cause] = await this.eventsAt([this.task.cause]);
    // A task may write thousands of events. One span tells of all.
    await inSpan(
      `policy ${this.task.what}`,
      () => ({ root: true, kind: SpanKind.CONSUMER, links: linksTo(cause ? [cause] : []) }),
      async (span) => {
        await this.settle(cause);
        span?.setAttribute('colophon.streams_changed', this.changed);
      },
      // The next leader goes on.
      (error) => !(error instanceof LeadLost),
    );
  }

  private async settle(cause: RecordedEvent | undefined): Promise<void> {
    let end: Pick<Progress, 'part' | 'cursor'> = this.task;
    if (cause)
      try {
        // Effects of an earlier try, too.
        this.written = await this.findable();
        end = await this.carryOut(await this.partsOf(cause), cause);
      } catch (error) {
        if (isOutage(error)) throw error;
        this.park(cause.stream, error);
      }
    // Effects may be causes too. Whoever waits for the change waits for their tasks.
    await this.tools.takenIn(this.written);
    await this.record(end.part, end.cursor, true);
  }

  /** Waits until the streams of all events can be found. Returns the head of the log. */
  private async findable(): Promise<Position> {
    const { store, streams, patience } = this.tools;
    const head = (await patience.until(() => store.head())) ?? this.task.position;
    await patience.come(
      (patienceMs) => streams.reached(head, patienceMs),
      'the tables of changes do not follow the log',
    );
    return head;
  }

  private async carryOut(
    parts: readonly Part[],
    cause: RecordedEvent,
  ): Promise<{ part: number; cursor: undefined }> {
    const { stream: only } = this.task;
    for (let number = this.task.part; number < parts.length; number += 1) {
      const part = parts[number];
      if (!part) break;
      let after = number === this.task.part ? this.task.cursor : undefined;
      // A book has an event for each time that it was linked and unlinked.
      const seen = new Set<string>();
      // The stream of the cause stands for the whole task.
      const alone = only !== '' && only !== cause.stream;
      if (alone && categoryOf(only) !== part.category) continue;
      for (let more = true; more;) {
        const page: StreamPage = alone
          ? { streams: [only], next: undefined }
          : await this.tools.patience.until(() => part.search({ category: part.category, after }));
        const found = page.streams.filter((stream) => !seen.has(stream) && isUuid(idOf(stream)));
        if (seen.size > MOST_SEEN) seen.clear();
        for (const stream of found) seen.add(stream);
        // Even without streams, the first page says whether there is something to do.
        const decide = found.length > 0 || after === undefined ? await part.begin(found) : nothing;
        if (!decide) return { part: parts.length, cursor: undefined };
        const lanes = this.handled < LONG_TASK ? CALM_LANES : MOST_STREAMS;
        await inLanes(found, (stream) => this.act(this.causeOf(cause), stream, decide), lanes);
        this.handled += found.length;
        after = page.next;
        more = after !== undefined;
        const findings = this.parked.length + this.left.length;
        if (more && (performance.now() - this.recordedAt >= RECORD_MS || findings >= MOST_FINDINGS))
          await this.record(number, after);
      }
    }
    return { part: parts.length, cursor: undefined };
  }

  private causeOf(event: RecordedEvent): Cause {
    const { change } = event.data as Partial<ChangeEvent['data']>;
    return change === undefined ? { event } : { event, reverts: change };
  }

  /** Parks the stream if it can't be understood, or changed. */
  private async act(cause: Cause, stream: string, decide: Decide): Promise<void> {
    try {
      let left: readonly LeftAlone[] = [];
      const position = await this.tools.effects.on(cause, stream, async (history) => {
        const decision = await decide(history);
        left = decision.left ?? [];
        return decision.events;
      });
      this.left.push(...left.map(({ fact, why, since }) => ({ stream, fact, why, since: since?.position })));
      if (position === undefined) return;
      this.changed += 1;
      if (position > this.written) this.written = position;
    } catch (error) {
      if (isOutage(error)) throw error;
      this.park(stream, error);
    }
  }

  private park(stream: string, error: unknown): void {
    this.parked.push({ stream, error: error instanceof Error ? error.message : String(error) });
  }

  private async record(part: number, cursor: Position | undefined, done = false): Promise<void> {
    const { tables, patience, logger } = this.tools;
    const findings: Findings = { parked: this.parked, left: this.left };
    [this.parked, this.left] = [[], []];
    const progress = { part, cursor, changed: this.changed };
    await patience.until(() => tables.record(this.task, progress, findings, done));
    const { what: policy, change } = this.task;
    if (findings.parked.length > 0)
      logger.error(`${findings.parked.length} authors and books parked: see \`colophon parked list\``, {
        policy,
        ...idOfChange(change),
      });
    this.recordedAt = performance.now();
  }

  private async eventsAt(positions: readonly Position[]): Promise<RecordedEvent[]> {
    const { store, patience } = this.tools;
    return patience.until(async () => {
      const events: RecordedEvent[] = [];
      for await (const batch of store.readAt(positions)) events.push(...batch);
      return events;
    });
  }

  private async partsOf(cause: RecordedEvent): Promise<Part[]> {
    const event = cause as unknown as AuthorEvent | ChangeEvent;
    switch (event.type) {
      case 'AuthorRemoved':
        return event.data.books === undefined ? [] : [this.removal(cause, event.data.books)];
      case 'AuthorMerged':
        return [this.merge(cause)];
      case 'ChangeReverted':
        return this.revert(cause, event.data.change);
      default:
        return [];
    }
  }

  /** The books of a removed author, as long as the author is removed by this very event. */
  private removal(cause: RecordedEvent, books: BooksOfRemoved): Part {
    const { streams } = this.tools;
    const authorId = idOf(cause.stream);
    return {
      category: BOOK,
      search: (filter) => streams.ofAuthor(authorId, filter),
      begin: async () => {
        const stands = this.standing(cause);
        if (!(await stands())) return undefined;
        const removal = { authorId, at: cause.position, books };
        return async (history) => ({
          events: (await stands()) ? leaveRemovedAuthor(understoodBook(history).happened, removal) : [],
        });
      },
    };
  }

  /** The books of a merged author, as long as the author is merged by this very event. */
  private merge(cause: RecordedEvent): Part {
    const { streams, survivors } = this.tools;
    const authorId = idOf(cause.stream);
    return {
      category: BOOK,
      search: (filter) => streams.ofAuthor(authorId, filter),
      begin: async () => {
        const stands = this.standing(cause);
        if (!(await stands())) return undefined;
        const into = await survivors.of(authorId);
        // A merge that closes a circle was taken back.
        const { state, by } = await survivors.author(authorId);
        if (by?.id !== cause.id || state.status === 'unknown' || into === authorId) return undefined;
        const merge = { authorId, name: state.name, into };
        return async (history) => ({
          events: (await stands()) ? joinSurvivor(understoodBook(history).happened, merge) : [],
        });
      },
    };
  }

  /** Tells whether the author of an event is still removed or merged by this very event. Asks anew after a moment. */
  private standing(cause: RecordedEvent): () => Promise<boolean> {
    let asked: Promise<boolean> | undefined;
    let askedAt = 0;
    return () => {
      if (!asked || performance.now() - askedAt > STANDS_MS) {
        askedAt = performance.now();
        asked = this.tools.survivors.author(idOf(cause.stream)).then(({ by }) => by?.id === cause.id);
      }
      return asked;
    };
  }

  /**
   * The streams of a change, as long as this revert of the change is in effect. Authors come back before books that link
   * them. Authors go after their books.
   */
  private async revert(cause: RecordedEvent, change: string): Promise<Part[]> {
    const { streams } = this.tools;
    const before = cause.position;
    await this.untilSettled(change);
    // What policies did because of the change may stand behind the revert.
    await this.findable();
    const search = (filter: StreamFilter) => streams.ofChange(change, filter);
    const reacted = await this.reactedTo(change, before);
    const undo: Undo = {
      change,
      before,
      by: cause.metadata.correlationId,
      causes: new Set(reacted.map(({ id }) => id)),
    };
    const part = (
      category: string,
      find: Part['search'],
      decide: (undoing: Undoing, found: readonly string[]) => Decide | Promise<Decide>,
    ): Part => ({
      category,
      search: find,
      begin: async (found) =>
        (await this.reverts.stands(cause)) ? decide(new Undoing(this.read, undo), found) : undefined,
    });
    const removers = [...new Set(reacted.map(({ stream }) => stream))];
    return [
      part(
        AUTHOR,
        async () => ({
          streams: removers.filter((stream) => categoryOf(stream) === AUTHOR),
          next: undefined,
        }),
        (undoing) => (history) =>
          undoing.comesBack(history) ? undoing.inAuthor(history, 0) : { events: [] },
      ),
      part(BOOK, search, (undoing) => (history) => undoing.inBook(history)),
      part(AUTHOR, search, async (undoing, found) => {
        const books = await this.booksOf(found, undoing, cause);
        return async (history) => undoing.inAuthor(history, await books(idOf(history[0]?.stream ?? '')));
      }),
    ];
  }

  /**
   * Waits for the change that is reverted. A request to revert it is refused while it is under way, but another process may
   * have begun its last task at the same time.
   */
  private async untilSettled(change: string): Promise<void> {
    const { tables, patience } = this.tools;
    for (
      const deadline = performance.now() + SETTLED_MS;
      performance.now() < deadline;
      await patience.rest(SETTLING_MS)
    )
      if (!(await patience.until(() => tables.hasOlder(change, this.task.position)))) return;
  }

  /** The events of a change to which policies react. Without them, no author of the change comes back. */
  private async reactedTo(change: string, before: Position): Promise<Reaction[]> {
    const { streams, patience } = this.tools;
    const found: Reaction[] = [];
    for (let after: Position | undefined, more = true; more;) {
      const filter = { after, before, types: TRIGGERS };
      const page = await patience.until(() => streams.ofChange(change, filter));
      await inLanes(page.streams, async (stream) => {
        const history = await this.read(stream).catch(noneIfDeleted);
        for (const event of history)
          if (
            event.position < before &&
            event.metadata.correlationId === change &&
            TRIGGERS.includes(event.type)
          )
            found.push({ id: event.id, stream });
      });
      after = page.next;
      more = after !== undefined;
    }
    return found;
  }

  /**
   * How many live books keep each of these authors in the catalogue. If the revert may have been carried out before, what
   * was so then counts, and not what the tables say now.
   */
  private async booksOf(
    authors: readonly string[],
    undoing: Undoing,
    cause: RecordedEvent,
  ): Promise<(authorId: string) => Promise<number>> {
    const { store, books, streams, patience } = this.tools;
    const head = (await patience.until(() => store.head())) ?? cause.position;
    await patience.come((patienceMs) => books.reached(head, patienceMs), 'the tables do not follow the log');
    const counts = await patience.until(() => books.count(authors.map(idOf)));
    return async (authorId) => {
      const count = counts.get(authorId) ?? 0;
      if (count > 0 || !this.again) return count;
      for (let after: Position | undefined, more = true; more;) {
        const page = await patience.until(() => streams.ofAuthor(authorId, { category: BOOK, after }));
        for (const stream of page.streams) if (undoing.holds(await this.read(stream), authorId)) return 1;
        after = page.next;
        more = after !== undefined;
      }
      return 0;
    };
  }
}

const nothing: Decide = () => ({ events: [] });

function noneIfDeleted(error: unknown): never[] {
  if (error instanceof StreamDeleted) return [];
  throw error;
}

/** Works on some streams at a time. Each has settled when this ends. */
async function inLanes(
  streams: readonly string[],
  work: (stream: string) => Promise<void>,
  most = MOST_STREAMS,
): Promise<void> {
  const rest = streams.values();
  const lane = async () => {
    for (const stream of rest) await work(stream);
  };
  const lanes = Array.from({ length: Math.min(most, streams.length) }, lane);
  for (const settled of await Promise.allSettled(lanes))
    if (settled.status === 'rejected') throw settled.reason;
}
