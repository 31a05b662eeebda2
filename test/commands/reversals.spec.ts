import fc from 'fast-check';
import { foldAuthor, foldBook } from '../../projections/catalogue/fold.js';
import {
  evolveAuthor,
  removeAuthor,
  renameAuthor,
  restoreAuthor,
  unknownAuthor,
  type Author,
} from '../../src/authors/author.js';
import { flawOfAuthorEvent, type AuthorEvent } from '../../src/authors/author.events.js';
import { revertAuthor } from '../../src/authors/author-reversal.js';
import {
  addBook,
  evolveBook,
  importBook,
  linkAuthor,
  removeBook,
  reorderAuthors,
  restoreBook,
  retitleBook,
  unknownBook,
  unlinkAuthor,
  type Book,
} from '../../src/books/book.js';
import { flawOfBookEvent, type BookEvent } from '../../src/books/book.events.js';
import { joinSurvivor, leaveRemovedAuthor } from '../../src/books/book-cascade.js';
import { revertBook, type StandingOf } from '../../src/books/book-reversal.js';
import { ROLE_NAMES } from '../../src/books/roles.js';
import type { Happened, Reversal, Undo } from '../../src/changes/reversal.js';
import { DomainError } from '../../src/domain-error.js';
import type { ProjectableEvent } from '../../src/event-store/event-store.js';
import { act, historyOf, revertOf, type Act } from '../support/happened.js';

const AUTHORS = Array.from('abcd', (letter) => `${letter.repeat(8)}-0000-4000-8000-000000000000`);
const SURVIVOR = AUTHORS[0] ?? '';
const NAMES = ['Mort', 'Eric', 'Sourcery'];
const CHANGES = ['one', 'two', 'three'] as const;
/** The gate's share. A run takes some milliseconds. */
const RUNS = Number(process.env.REVERSAL_RUNS ?? 300);

type History<Event> = readonly Happened<Event>[];
type Left = Reversal<unknown>['left'];

/** What it takes to let things happen to a stream. */
interface Kind<State, Event, Deed> {
  readonly initial: State;
  readonly evolve: (state: State, event: Event) => State;
  /** Does something, if the rules allow. */
  readonly decide: (history: History<Event>, deed: Deed) => Event[];
  readonly revert: (history: History<Event>, undo: Undo) => Reversal<Event>;
  /** Checks what a step may not change: facts whose last event is by somebody else, and undoes nothing. */
  readonly spares: (history: History<Event>, undo: Undo, before: State, after: State) => void;
}

/** A change does something; or a change is asked to be undone; or the undoing that was asked for first is done. */
const stepsOf = <Deed>(deed: fc.Arbitrary<Deed>) =>
  fc.array(
    fc.oneof(
      { weight: 6, arbitrary: fc.record({ change: fc.constantFrom(...CHANGES), deed }) },
      fc.record({ ask: fc.nat() }),
      fc.constant('run' as const),
    ),
    { maxLength: 40 },
  );
type Steps<Deed> = readonly (
  { readonly change: string; readonly deed: Deed } | { readonly ask: number } | 'run'
)[];

/** A state without the mark of a removal by a revert, which only imports look at. */
const visible = <State extends Author | Book>(state: State): State => ({ ...state, reverted: undefined });

/** A stream to which things happen. */
class Stream<State, Event, Deed> {
  readonly acts: Act<Event>[] = [];
  readonly done: { readonly undo: Undo; readonly left: Left }[] = [];
  private readonly asked: Undo[] = [];

  constructor(private readonly kind: Kind<State, Event, Deed>) {}

  get history(): Happened<Event>[] {
    return historyOf(this.acts);
  }

  get state(): State {
    return this.history.reduce(this.kind.evolve, this.kind.initial);
  }

  live(steps: Steps<Deed>): this {
    for (const step of steps)
      if (step === 'run') this.run();
      else if ('deed' in step) this.take(step.change, step.deed);
      else {
        const changes = [
          ...CHANGES,
          ...[...this.done.map(({ undo }) => undo), ...this.asked].map(({ by }) => by),
        ];
        this.ask(changes[step.ask % changes.length] ?? 'one');
      }
    while (this.asked.length > 0) this.run();
    return this;
  }

  take(change: string, deed: Deed): void {
    try {
      this.acts.push(act(change, ...this.kind.decide(this.history, deed)));
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
    }
  }

  ask(change: string): string {
    const by = `undoing ${this.done.length + this.asked.length}`;
    this.asked.push({ change, by, before: BigInt(this.history.length) });
    return by;
  }

  run(): void {
    const undo = this.asked.shift();
    if (!undo) return;
    const { history, state } = this;
    const { events, left } = this.kind.revert(history, undo);
    this.acts.push(revertOf(undo.change, undo.by, ...events));
    this.kind.spares(history, undo, state, this.state);
    expect(this.kind.revert(this.history, undo)).toEqual({ events: [], left });
    this.done.push({ undo, left });
  }

  /** From the beginning of the log again, after all that came later, nothing is written. */
  startOver(): void {
    for (const { undo } of this.done) expect(this.kind.revert(this.history, undo).events).toEqual([]);
  }
}

/** The last event of a kind, if it is neither the change's nor undoes something. */
function lastByOthers<Event>(
  history: History<Event>,
  { change, before }: Undo,
  isIt: (event: Event) => boolean,
): Happened<Event> | undefined {
  const last = history.findLast(isIt);
  if (!last || last.metadata.reverts !== undefined) return undefined;
  return last.metadata.correlationId === change && last.position < before ? undefined : last;
}

const projectable = (
  category: string,
  event: Happened<{ readonly type: string; readonly data: object }>,
): ProjectableEvent => ({
  ...event,
  metadata: { ...event.metadata, causationId: '', schemaVersion: 1 },
  stream: `${category}-${AUTHORS[0]}`,
  revision: event.position,
  recordedAt: new Date(0),
});

/** A state that was never there is as good as a removed one. */
const ended = (before: { readonly status: string }, now: { readonly status: string }): boolean =>
  before.status === 'unknown' && now.status !== 'live';

describe('a book', () => {
  const deed = fc.record({
    what: fc.constantFrom(
      'retitle',
      'link',
      'unlink',
      'order',
      'remove',
      'restore',
      'import',
      'merge',
      'leave',
    ),
    author: fc.constantFrom(...AUTHORS),
    other: fc.constantFrom(...AUTHORS),
    some: fc.shuffledSubarray(AUTHORS),
    position: fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined }),
    roles: fc.subarray(ROLE_NAMES.slice(0, 3), { minLength: 1, maxLength: 2 }),
    creditedAs: fc.option(fc.constantFrom('X', 'Y')),
    title: fc.constantFrom(...NAMES),
  });
  type Deed = typeof deed extends fc.Arbitrary<infer T> ? T : never;

  const linksOf = (book: Book) => (book.status === 'unknown' ? [] : book.links);
  const listOf = (book: Book) => linksOf(book).map(({ authorId }) => authorId);
  const linkOf = (book: Book, id: string) => linksOf(book).find(({ authorId }) => authorId === id);

  function decide(
    history: History<BookEvent>,
    { what, author, other, some, title, ...rest }: Deed,
  ): BookEvent[] {
    const book = history.reduce(evolveBook, unknownBook);
    const authors = some.map((authorId) => ({ authorId, author: 'live' as const }));
    switch (book.status === 'unknown' ? 'add' : what) {
      case 'retitle':
        return retitleBook(book, { title });
      case 'link':
        return linkAuthor(book, { authorId: author, author: 'live', ...rest });
      case 'unlink':
        return unlinkAuthor(book, { authorId: author });
      case 'order':
        return reorderAuthors(book, {
          authorIds: listOf(book).toSorted((one, two) => some.indexOf(one) - some.indexOf(two)),
        });
      case 'remove':
        return removeBook(book);
      case 'restore':
        return restoreBook(book);
      case 'import':
        return importBook(book, { title, authors });
      case 'merge':
        return joinSurvivor(history, { authorId: author, name: 'Z', into: other });
      case 'leave':
        return leaveRemovedAuthor(history, { authorId: author, at: 0n, books: 'remove-sole-authored' });
      default:
        return addBook(book, { title, authors });
    }
  }

  function spares(history: History<BookEvent>, undo: Undo, before: Book, after: Book): void {
    const byOthers = (isIt: (event: BookEvent) => boolean) => lastByOthers(history, undo, isIt);
    if (byOthers(({ type }) => ['BookAdded', 'BookRemoved', 'BookRestored'].includes(type)))
      expect(after.status).toBe(before.status);
    if (before.status !== 'unknown' && byOthers(({ type }) => ['BookAdded', 'BookRetitled'].includes(type)))
      expect(after).toMatchObject({ title: before.title });
    const last = history.findLast(({ metadata }) => metadata.correlationId === undo.change)?.position ?? 0n;
    for (const id of AUTHORS) {
      const edit = byOthers(
        ({ data }) => ('authorId' in data && data.authorId === id) || ('from' in data && data.from === id),
      );
      // A survivor may take the place of another, even if somebody had taken the survivor out before the change.
      if (edit && (id !== SURVIVOR || edit.position > last))
        expect(linkOf(after, id)).toEqual(linkOf(before, id));
    }
    const ordered = byOthers(({ type }) => type === 'AuthorsReordered');
    const undone = history.findLast(
      ({ metadata }) => metadata.correlationId === undo.change || metadata.reverts !== undefined,
    );
    if (ordered && (!undone || undone.position < ordered.position))
      expect(listOf(after).filter((id) => linkOf(before, id))).toEqual(
        listOf(before).filter((id) => linkOf(after, id)),
      );
  }

  const kindWith = (standingOf: StandingOf): Kind<Book, BookEvent, Deed> => ({
    initial: unknownBook,
    evolve: evolveBook,
    decide,
    revert: (history, undo) => revertBook(history, undo, standingOf),
    spares,
  });

  /** Each event must fit the events before it, as strictly as the catalogue takes them. */
  function fits(history: History<BookEvent>): void {
    let book: Book = unknownBook;
    let row: ReturnType<typeof foldBook> | undefined;
    for (const event of history) {
      const list = listOf(book);
      expect(flawOfBookEvent(event)).toBeUndefined();
      const needs =
        event.type === 'BookRestored' ? 'removed' : event.type === 'BookAdded' ? 'unknown' : 'live';
      expect(book.status).toBe(needs);
      if (event.type === 'BookLinked') {
        expect(list).not.toContain(event.data.authorId);
        expect(event.data.position).toBeLessThanOrEqual(list.length + 1);
      } else if (event.type === 'BookRelinked') {
        const { from, authorId, position } = event.data;
        expect(list).toContain(from);
        expect(position).toBeLessThanOrEqual(list.filter((id) => id !== from && id !== authorId).length + 1);
      } else if (event.type === 'AuthorsReordered') {
        expect(event.data.authorIds.toSorted()).toEqual(list.toSorted());
      } else if ('authorId' in event.data) {
        expect(list).toContain(event.data.authorId);
      }
      book = evolveBook(book, event);
      row = foldBook(row, projectable('book', event));
      expect('row' in row ? row.row.links.map((link) => link.authorId) : 'removed').toEqual(
        book.status === 'live' ? listOf(book) : 'removed',
      );
    }
  }
  const standing = fc.oneof(
    { weight: 3, arbitrary: fc.constant('live' as const) },
    fc.constant('removed' as const),
    fc.constant('merged' as const),
  );

  test('to which anything happened: undoing fits, spares what others did, and is done once', () =>
    fc.assert(
      fc.property(stepsOf(deed), fc.tuple(standing, standing, standing), (steps, standings) => {
        const standingOf: StandingOf = (id) => {
          const status = standings[AUTHORS.indexOf(id) - 1] ?? 'live';
          return status === 'merged' ? { id: SURVIVOR, status: 'live', name: 'Z' } : { id, status };
        };
        const stream = new Stream(kindWith(standingOf)).live(steps);
        fits(stream.history);
        stream.startOver();
      }),
      { numRuns: RUNS },
    ));

  test('that nobody else changed since is again as before, and undoing can be undone any number of times', () =>
    fc.assert(
      fc.property(stepsOf(deed), fc.array(deed, { minLength: 1, maxLength: 8 }), (steps, deeds) => {
        const stream = new Stream(kindWith((id) => ({ id, status: 'live' }))).live(steps);
        const before = stream.state;
        for (const one of deeds) stream.take('last', one);
        const after = stream.state;
        // An author whom one change both takes out and puts in may stand elsewhere afterwards.
        const last = stream.history.filter(({ metadata }) => metadata.correlationId === 'last');
        const out = last.flatMap(({ type, data }) =>
          type === 'BookRelinked' ? [data.from] : type === 'BookUnlinked' ? [data.authorId] : [],
        );
        const moves = last.some(
          ({ type, data }) =>
            (type === 'BookLinked' || type === 'BookRelinked') && out.includes(data.authorId),
        );
        let undoing = 'last';
        for (let n = 0; n < 5; n++) {
          undoing = stream.ask(n === 2 ? 'last' : undoing);
          stream.run();
          const wanted = n % 2 === 0 ? before : after;
          if (ended(wanted, stream.state)) continue;
          const placed = (book: Book) => (moves ? { ...book, links: new Set(linksOf(book)) } : book);
          expect(placed(visible(stream.state))).toEqual(placed(visible(wanted)));
        }
      }),
      { numRuns: RUNS },
    ));
});

describe('an author', () => {
  const deed = fc.record({
    what: fc.constantFrom('rename', 'remove', 'restore', 'merge'),
    name: fc.constantFrom(...NAMES),
    into: fc.constantFrom(...AUTHORS),
  });
  type Deed = typeof deed extends fc.Arbitrary<infer T> ? T : never;

  function decide(history: History<AuthorEvent>, { what, name, into }: Deed): AuthorEvent[] {
    const author = history.reduce(evolveAuthor, unknownAuthor);
    if (author.status === 'unknown') return [{ type: 'AuthorAdded', data: { name } }];
    if (what === 'rename') return renameAuthor(author, { name });
    if (what === 'remove') return removeAuthor(author, { books: 0 });
    if (what === 'merge') return author.status === 'live' ? [{ type: 'AuthorMerged', data: { into } }] : [];
    // Only a revert brings a merged author back.
    return author.mergedInto === undefined ? restoreAuthor(author) : [];
  }

  const kindWith = (books: number, survivorLives: boolean): Kind<Author, AuthorEvent, Deed> => ({
    initial: unknownAuthor,
    evolve: evolveAuthor,
    decide,
    revert: (history, undo) => revertAuthor(history, undo, books, survivorLives),
    spares: (history, undo, before, after) => {
      if (before.status === 'unknown') return;
      if (lastByOthers(history, undo, ({ type }) => ['AuthorAdded', 'AuthorRenamed'].includes(type)))
        expect(after).toMatchObject({ name: before.name });
      if (lastByOthers(history, undo, ({ type }) => type !== 'AuthorRenamed'))
        expect(after).toMatchObject({ status: before.status });
    },
  });

  /** Each event must fit the events before it, as strictly as the catalogue takes them. */
  function fits(history: History<AuthorEvent>): void {
    let author: Author = unknownAuthor;
    let row: ReturnType<typeof foldAuthor> | undefined;
    for (const event of history) {
      expect(flawOfAuthorEvent(event)).toBeUndefined();
      const needs =
        event.type === 'AuthorRestored' ? 'removed' : event.type === 'AuthorAdded' ? 'unknown' : 'live';
      expect(author.status).toBe(needs);
      author = evolveAuthor(author, event);
      row = foldAuthor(row, projectable('author', event));
      expect('row' in row).toBe(author.status === 'live');
    }
  }
  test('to whom anything happened: undoing fits, spares what others did, and is done once', () =>
    fc.assert(
      fc.property(stepsOf(deed), fc.nat({ max: 1 }), fc.boolean(), (steps, books, survivorLives) => {
        const stream = new Stream(kindWith(books, survivorLives)).live(steps);
        fits(stream.history);
        stream.startOver();
      }),
      { numRuns: RUNS },
    ));

  test('whom nobody else changed since is again as before, and undoing can be undone any number of times', () =>
    fc.assert(
      fc.property(stepsOf(deed), fc.array(deed, { minLength: 1, maxLength: 6 }), (steps, deeds) => {
        const stream = new Stream(kindWith(0, true)).live(steps);
        const before = stream.state;
        for (const one of deeds) stream.take('last', one);
        const after = stream.state;
        let undoing = 'last';
        for (let n = 0; n < 5; n++) {
          undoing = stream.ask(n === 2 ? 'last' : undoing);
          stream.run();
          const wanted = n % 2 === 0 ? before : after;
          if (!ended(wanted, stream.state)) expect(visible(stream.state)).toEqual(visible(wanted));
        }
      }),
      { numRuns: RUNS },
    ));
});
