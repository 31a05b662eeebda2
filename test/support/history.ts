import fc from 'fast-check';
import {
  addAuthor,
  evolveAuthor,
  removeAuthor,
  renameAuthor,
  restoreAuthor,
  unknownAuthor,
  type Author,
} from '../../src/authors/author.js';
import { authorStream, type AuthorEvent } from '../../src/authors/author.events.js';
import {
  addBook,
  evolveBook,
  linkAuthor,
  removeBook,
  reorderAuthors,
  restoreBook,
  retitleBook,
  unknownBook,
  unlinkAuthor,
  type Book,
} from '../../src/books/book.js';
import { bookStream, type BookEvent } from '../../src/books/book.events.js';
import { ROLE_NAMES } from '../../src/books/roles.js';
import { DomainError } from '../../src/domain-error.js';
import type { EventStore } from '../../src/event-store/event-store.js';
import { newEvent } from './events.js';

const uuid = (kind: string, n: number) => `00000000-0000-7000-8000-${kind}0000000000${n}`;
const AUTHORS = [0, 1, 2, 3].map((n) => uuid('a', n));
const BOOKS = [0, 1, 2].map((n) => uuid('b', n));

const author = fc.constantFrom(...AUTHORS);
const book = fc.constantFrom(...BOOKS);
const text = fc.constantFrom('Émile', 'Zola', 'Ångström', 'it’s', '"quoted"', 'a\\b', '{x}', 'NULL');
const roles = fc.subarray(ROLE_NAMES, { minLength: 1, maxLength: 3 });

/** Something somebody does. Whether it is done is for the rules to say. */
const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ what: fc.constant('add author' as const), author, text }) },
  fc.record({ what: fc.constant('rename author' as const), author, text }),
  fc.record({ what: fc.constant('remove author' as const), author }),
  fc.record({ what: fc.constant('restore author' as const), author }),
  { weight: 3, arbitrary: fc.record({ what: fc.constant('merge author' as const), author, into: author }) },
  { weight: 3, arbitrary: fc.record({ what: fc.constant('add book' as const), book, text, author }) },
  fc.record({ what: fc.constant('retitle book' as const), book, text }),
  fc.record({ what: fc.constant('remove book' as const), book }),
  fc.record({ what: fc.constant('restore book' as const), book }),
  {
    weight: 5,
    arbitrary: fc.record({
      what: fc.constant('link' as const),
      book,
      author,
      roles,
      position: fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined }),
      creditedAs: fc.option(text),
    }),
  },
  fc.record({ what: fc.constant('unlink' as const), book, author }),
  {
    weight: 3,
    arbitrary: fc.record({
      what: fc.constant('relink' as const),
      book,
      from: fc.nat(3),
      author,
      roles,
      position: fc.integer({ min: 1, max: 4 }),
      creditedAs: fc.option(text),
    }),
  },
  fc.record({ what: fc.constant('reorder' as const), book, reverse: fc.boolean() }),
);

export type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** A catalogue to begin with: without it, most steps have nobody to be about. */
const BEGUN: Step[] = [
  ...AUTHORS.map((id) => ({ what: 'add author' as const, author: id, text: 'Émile' as const })),
  ...BOOKS.map((id, n) => ({
    what: 'add book' as const,
    book: id,
    text: 'Zola' as const,
    author: AUTHORS[n] ?? id,
  })),
];
export const steps = fc
  .tuple(fc.boolean(), fc.array(step, { minLength: 5, maxLength: 60, size: 'medium' }))
  .map(([begun, rest]) => (begun ? [...BEGUN, ...rest] : rest));

/** The catalogue as the write side has it. */
export interface World {
  readonly authors: Map<string, Author>;
  readonly books: Map<string, Book>;
}

/**
 * Does the steps, skipping those the rules refuse. Links, merges and removals look away from each other, as they may
 * where two commands race: authors with books are removed, and removed authors are linked and merged into.
 */
export async function live(store: EventStore, history: readonly Step[]): Promise<World> {
  const authors = new Map<string, Author>();
  const books = new Map<string, Book>();
  const revisions = new Map<string, bigint>();
  const append = async (stream: string, events: readonly (AuthorEvent | BookEvent)[]) => {
    if (events.length === 0) return;
    const expected = revisions.get(stream) ?? 'no-stream';
    const { revision } = await store.append(
      stream,
      expected,
      events.map(({ type, data }) => newEvent(type, data)),
    );
    revisions.set(stream, revision);
  };
  for (const one of history) {
    try {
      if ('book' in one) {
        const before = books.get(one.book) ?? unknownBook;
        const events = decideBook(
          before,
          one,
          (id) => (authors.get(id) ?? unknownAuthor).status !== 'unknown',
        );
        books.set(one.book, events.reduce(evolveBook, before));
        await append(bookStream(one.book), events);
      } else {
        const before = authors.get(one.author) ?? unknownAuthor;
        const events = decideAuthor(before, one);
        authors.set(one.author, events.reduce(evolveAuthor, before));
        await append(authorStream(one.author), events);
      }
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
    }
  }
  return { authors, books };
}

function decideAuthor(before: Author, one: Exclude<Step, { book: string }>): AuthorEvent[] {
  switch (one.what) {
    case 'add author':
      return addAuthor(before, { name: one.text });
    case 'rename author':
      return renameAuthor(before, { name: one.text });
    case 'remove author':
      return removeAuthor(before, { books: 0 });
    case 'restore author': {
      if (before.status === 'unknown' || before.mergedInto === undefined) return restoreAuthor(before);
      // As a revert of the merge does.
      const { name, key } = before;
      return [{ type: 'AuthorRestored', data: { name, ...(key !== undefined && { key }) } }];
    }
    case 'merge author':
      // Merges at the same time may form a circle.
      return before.status === 'live' && one.into !== one.author
        ? [{ type: 'AuthorMerged', data: { into: one.into } }]
        : [];
  }
}

function decideBook(
  before: Book,
  one: Extract<Step, { book: string }>,
  ever: (authorId: string) => boolean,
): BookEvent[] {
  const statusOf = (authorId: string) => (ever(authorId) ? 'live' : 'unknown');
  const links = before.status === 'unknown' ? [] : before.links.map((link) => link.authorId);
  switch (one.what) {
    case 'add book':
      return addBook(before, {
        title: one.text,
        authors: [{ authorId: one.author, author: statusOf(one.author) }],
      });
    case 'retitle book':
      return retitleBook(before, { title: one.text });
    case 'remove book':
      return removeBook(before);
    case 'restore book':
      return restoreBook(before);
    case 'link': {
      const { author: authorId, roles, position, creditedAs } = one;
      return linkAuthor(before, { authorId, author: statusOf(authorId), roles, position, creditedAs });
    }
    case 'unlink':
      return unlinkAuthor(before, { authorId: one.author });
    case 'relink': {
      // As the policy does, for whatever reason.
      const { author: authorId, roles, position, creditedAs } = one;
      const from = links[one.from];
      if (before.status !== 'live' || from === undefined || from === authorId || !ever(authorId)) return [];
      const last = links.length - (links.includes(authorId) ? 1 : 0);
      const data = { from, authorId, position: Math.min(position, last), roles, creditedAs };
      return [{ type: 'BookRelinked', data }];
    }
    case 'reorder':
      return reorderAuthors(before, { authorIds: one.reverse ? links.toReversed() : links.toSorted() });
  }
}
