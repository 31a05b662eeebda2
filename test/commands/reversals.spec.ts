import fc from 'fast-check';
import { foldAuthor, foldBook } from '../../projections/catalogue/fold.js';
import type { Known } from '../../projections/catalogue/rows.js';
import {
  evolveAuthor,
  removeAuthor,
  renameAuthor,
  restoreAuthor,
  unknownAuthor,
} from '../../src/authors/author.js';
import type { AuthorEvent } from '../../src/authors/author.events.js';
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
import { revertBook } from '../../src/books/book-reversal.js';
import { ROLE_NAMES } from '../../src/books/roles.js';
import type { Happened, Reversal, Undo } from '../../src/changes/reversal.js';
import { DomainError } from '../../src/domain-error.js';
import type { ProjectableEvent } from '../../src/event-store/event-store.js';
import { act, historyOf, revertOf, type Act } from '../support/happened.js';

const AUTHORS = Array.from('abcd', (letter) => `${letter.repeat(8)}-0000-4000-8000-000000000000`);
const TEXTS = ['Mort', 'Eric', 'Sourcery'];

/** Something somebody does to a book as part of a change. Whether it is done is for the rules to say. */
const deed = fc.record({
  what: fc.constantFrom(
    ...([
      'retitle',
      'link',
      'link',
      'unlink',
      'order',
      'order',
      'remove',
      'restore',
      'import',
      'merge',
      'leave',
    ] as const),
  ),
  author: fc.constantFrom(...AUTHORS),
  other: fc.constantFrom(...AUTHORS),
  some: fc.shuffledSubarray(AUTHORS),
  position: fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined }),
  roles: fc.subarray(ROLE_NAMES.slice(0, 3), { minLength: 1, maxLength: 2 }),
  creditedAs: fc.option(fc.constantFrom('X', 'Y')),
  title: fc.constantFrom(...TEXTS),
});
type Deed = typeof deed extends fc.Arbitrary<infer T> ? T : never;

/** A change does something; or a change is asked to be undone, or the undoing that was asked for first is done. */
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ change: fc.constantFrom('one', 'two', 'three'), deed }) },
  fc.record({ ask: fc.nat() }),
  fc.record({ run: fc.constant(true) }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function decide(
  history: readonly Happened<BookEvent>[],
  { what, author, other, some, title, ...rest }: Deed,
): BookEvent[] {
  const book = history.reduce(evolveBook, unknownBook);
  const links = book.status === 'unknown' ? [] : book.links.map((link) => link.authorId);
  const live = 'live' as const;
  const authors = some.map((authorId) => ({ authorId, author: live }));
  if (book.status === 'unknown') return addBook(book, { title, authors });
  switch (what) {
    case 'retitle':
      return retitleBook(book, { title });
    case 'link':
      return linkAuthor(book, { authorId: author, author: live, ...rest });
    case 'unlink':
      return unlinkAuthor(book, { authorId: author });
    case 'order':
      return reorderAuthors(book, {
        authorIds: [...some.filter((id) => links.includes(id)), ...links.filter((id) => !some.includes(id))],
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
      return leaveRemovedAuthor(history, {
        authorId: author,
        at: BigInt(history.length),
        books: 'remove-sole-authored',
      });
  }
}

const linksOf = (book: Book) => (book.status === 'unknown' ? [] : book.links);

/** The events of these must fit one after the other, as strictly as the catalogue takes them. */
function check(history: readonly Happened<BookEvent>[]): void {
  let book: Book = unknownBook;
  let standing: Known<never> | undefined | ReturnType<typeof foldBook>;
  let relinked = false;
  history.forEach((event, index) => {
    const list = linksOf(book).map((link) => link.authorId);
    expect(flawOfBookEvent(event)).toBeUndefined();
    expect(event.type === 'BookRestored' ? 'removed' : event.type === 'BookAdded' ? 'unknown' : 'live').toBe(
      book.status,
    );
    if (event.type === 'BookLinked') {
      expect(list).not.toContain(event.data.authorId);
      expect(event.data.position).toBeLessThanOrEqual(list.length + 1);
    }
    if (event.type === 'BookUnlinked' || event.type === 'BookLinkChanged')
      expect(list).toContain(event.data.authorId);
    if (event.type === 'AuthorsReordered') expect(list.toSorted()).toEqual(event.data.authorIds.toSorted());
    if (event.type === 'BookRelinked') {
      const others = list.filter((id) => id !== event.data.from && id !== event.data.authorId);
      expect(list).toContain(event.data.from);
      expect(event.data.position).toBeLessThanOrEqual(others.length + 1);
    }
    book = evolveBook(book, event);
    relinked ||= event.type === 'BookRelinked';
    if (relinked) return;
    standing = foldBook(standing, projectable('book', event, index));
    if ('row' in standing)
      expect(standing.row.links.map((link) => link.authorId)).toEqual(
        linksOf(book).map((link) => link.authorId),
      );
    expect('row' in standing).toBe(book.status === 'live');
  });
}

const projectable = (
  category: string,
  event: Happened<{ type: string; data: object }>,
  index: number,
): ProjectableEvent => ({
  ...event,
  metadata: { ...event.metadata, causationId: '', schemaVersion: 1 },
  stream: `${category}-${AUTHORS[0]}`,
  revision: BigInt(index),
  recordedAt: new Date(0),
});

/** Later edits by others: what the last event of each fact says, if it is neither the change's nor undoes something. */
function editsByOthers(history: readonly Happened<BookEvent>[], undo: Undo): Map<string, unknown> {
  const book = history.reduce(evolveBook, unknownBook);
  const lastOf = (isIt: (event: BookEvent) => boolean) => history.findLast(isIt);
  const isOthers = (event: Happened<BookEvent> | undefined) =>
    event &&
    event.metadata.reverts === undefined &&
    (event.metadata.correlationId !== undo.change || event.position >= undo.before);
  const edits = new Map<string, unknown>();
  if (book.status === 'unknown') return edits;
  if (isOthers(lastOf(({ type }) => ['BookAdded', 'BookRemoved', 'BookRestored'].includes(type))))
    edits.set('existence', book.status);
  if (isOthers(lastOf(({ type }) => ['BookAdded', 'BookRetitled'].includes(type))))
    edits.set('title', book.title);
  for (const id of AUTHORS) {
    const last = lastOf(
      ({ data }) => ('authorId' in data && data.authorId === id) || ('from' in data && data.from === id),
    );
    if (isOthers(last))
      edits.set(
        id,
        book.links.find((link) => link.authorId === id),
      );
  }
  return edits;
}

function orderByOthers(history: readonly Happened<BookEvent>[], undo: Undo): string[] | undefined {
  const last = history.findLast(({ type }) => type === 'AuthorsReordered');
  if (!last || last.metadata.reverts !== undefined) return undefined;
  const later = history.findLast(
    ({ metadata }) => metadata.correlationId === undo.change || metadata.reverts !== undefined,
  );
  return later && later.position >= last.position
    ? undefined
    : linksOf(history.reduce(evolveBook, unknownBook)).map((l) => l.authorId);
}

const revert = (history: readonly Happened<BookEvent>[], undo: Undo): Reversal<BookEvent> =>
  revertBook(history, undo, (id) => ({ id, status: 'live' }));

/** Does the steps, skipping those that the rules refuse. */
function live(steps: readonly Step[]) {
  const acts: Act<BookEvent>[] = [];
  const asked: Undo[] = [];
  const done: { undo: Undo; left: unknown }[] = [];
  const run = () => {
    const undo = asked.shift();
    if (!undo) return;
    const history = historyOf(acts);
    const { events, left } = revert(history, undo);
    const [edits, order] = [editsByOthers(history, undo), orderByOthers(history, undo)];
    acts.push(revertOf(undo.change, undo.by, ...events));
    const after = historyOf(acts);
    const now = editsByOthers(history, undo);
    const book = after.reduce(evolveBook, unknownBook);
    for (const [fact, value] of edits) {
      expect(now.get(fact)).toEqual(value);
      if (fact === 'existence') expect(book.status).toBe(value);
      else if (fact === 'title') expect(book).toMatchObject({ title: value });
      else expect(linksOf(book).find((link) => link.authorId === fact)).toEqual(value);
    }
    if (order) {
      const list = linksOf(book).map((link) => link.authorId);
      expect(list.filter((id) => order.includes(id))).toEqual(order.filter((id) => list.includes(id)));
    }
    expect(revert(after, undo).events).toEqual([]);
    done.push({ undo, left });
  };
  const take = (change: string, deed: Deed) => {
    try {
      acts.push(act(change, ...decide(historyOf(acts), deed)));
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
    }
  };
  const ask = (change: string) => {
    const undo = {
      change,
      by: `undoing ${done.length + asked.length}`,
      before: BigInt(historyOf(acts).length),
    };
    asked.push(undo);
    return undo;
  };
  for (const one of steps)
    if ('deed' in one) take(one.change, one.deed);
    else if ('run' in one) run();
    else {
      const changes = [
        'one',
        'two',
        'three',
        ...[...done.map(({ undo }) => undo), ...asked].map(({ by }) => by),
      ];
      ask(changes[one.ask % changes.length] ?? 'one');
    }
  while (asked.length > 0) run();
  return { acts, done, take, ask, run };
}

const RUNS = Number(process.env.RUNS ?? 300);

test('whatever happened to a book, undoing fits, spares what others did, and is done once', () =>
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const { acts, done } = live(steps);
      const history = historyOf(acts);
      check(history);
      // From the beginning of the log again, after all that came later.
      for (const { undo } of done) expect(revert(history, undo).events).toEqual([]);
    }),
    { numRuns: RUNS },
  ));

test('a change that nobody followed is undone whole, and undone and done again any number of times', () =>
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 25 }),
      fc.array(deed, { minLength: 1, maxLength: 8 }),
      (steps, deeds) => {
        const { acts, take, ask, run } = live(steps);
        const bookNow = () => historyOf(acts).reduce(evolveBook, unknownBook);
        const before = bookNow();
        for (const one of deeds) take('last', one);
        const after = bookNow();
        // An author whom one change takes out and puts in again may stand elsewhere after the third time.
        const last = historyOf(acts).filter(({ metadata }) => metadata.correlationId === 'last');
        const leavers = new Set(
          last.flatMap(({ data }) => ('from' in data ? [data.from, data.authorId] : [])),
        );
        for (const { type, data } of last) if (type === 'BookUnlinked') leavers.add(data.authorId);
        const again = last.some(({ type, data }) => type === 'BookLinked' && leavers.has(data.authorId));
        const placed = (book: Book) =>
          again
            ? { ...book, links: linksOf(book).toSorted((a, b) => (a.authorId < b.authorId ? 1 : -1)) }
            : book;
        let undoing = 'last';
        for (let n = 0; n < 5; n++) {
          const { by } = ask(n === 2 ? 'last' : undoing);
          run();
          undoing = by;
          const wanted = n % 2 === 0 ? before : after;
          if (wanted.status === 'unknown')
            expect(bookNow().status).toBe(after.status === 'unknown' ? 'unknown' : 'removed');
          else expect(placed(bookNow())).toEqual(placed(wanted));
        }
        check(historyOf(acts));
      },
    ),
    { numRuns: RUNS },
  ));
