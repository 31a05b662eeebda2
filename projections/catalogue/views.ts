import { z } from 'zod';
import { ROLE_NAMES, type Role } from '../../src/books/roles.js';

const role = z.enum(ROLE_NAMES);
const linkShape = {
  position: z.int().describe("the author's place in the book's list, from 1"),
  roles: z.array(role),
  creditedAs: z.string().nullable().describe('the name as printed, where it differs'),
};

/** A book in an author's list. */
export const linkedBook = z.object({ id: z.uuid(), title: z.string(), ...linkShape });
/** An author in a book's list. */
export const linkedAuthor = z.object({ id: z.uuid(), name: z.string(), ...linkShape });

const stamps = { revision: z.string(), createdAt: z.iso.datetime(), updatedAt: z.iso.datetime() };
export const authorView = z.object({
  id: z.uuid(),
  name: z.string(),
  ...stamps,
  books: z.array(linkedBook).optional().describe('with include=books'),
});
export const bookView = z.object({
  id: z.uuid(),
  title: z.string(),
  ...stamps,
  authors: z.array(linkedAuthor).optional().describe('with include=authors'),
});

export type LinkedBook = z.output<typeof linkedBook>;
export type LinkedAuthor = z.output<typeof linkedAuthor>;
export type AuthorView = z.output<typeof authorView>;
export type BookView = z.output<typeof bookView>;

export const pageOf = (item: z.ZodType) =>
  z.object({
    items: z.array(item),
    next: z.string().nullable().describe('cursor for `after`; null on the last page'),
  });

/** Times travel as milliseconds since the epoch: PostgreSQL's text costs more to parse than the rest of the row. */
export const epoch = (column: string): string => `(date_part('epoch', ${column}) * 1000)::bigint`;
export const rfc3339 = (milliseconds: string): string => new Date(Number(milliseconds)).toISOString();

/** Columns of an author or a book as the views need them. */
export interface ResourceRecord {
  readonly id: string;
  readonly text: string;
  readonly revision: string;
  readonly created: string;
  readonly updated: string;
}

export const authorColumns = `a.id, a.name as text, a.revision, ${epoch('a.created_at')} as created, ${epoch('a.updated_at')} as updated`;
export const bookColumns = `b.id, b.title as text, b.revision, ${epoch('b.created_at')} as created, ${epoch('b.updated_at')} as updated`;

export const toAuthor = (
  { id, text, revision, created, updated }: ResourceRecord,
  books?: LinkedBook[],
): AuthorView => ({
  id,
  name: text,
  revision,
  createdAt: rfc3339(created),
  updatedAt: rfc3339(updated),
  ...(books && { books }),
});

export const toBook = (
  { id, text, revision, created, updated }: ResourceRecord,
  authors?: LinkedAuthor[],
): BookView => ({
  id,
  title: text,
  revision,
  createdAt: rfc3339(created),
  updatedAt: rfc3339(updated),
  ...(authors && { authors }),
});

/** A link as read from the side of one of its ends. */
export interface LinkRecord {
  readonly owner: string;
  readonly id: string;
  readonly text: string;
  readonly position: number;
  readonly roles: Role[];
  readonly creditedAs: string | null;
}

export const toLinkedBook = ({ id, text, position, roles, creditedAs }: LinkRecord): LinkedBook => ({
  id,
  title: text,
  position,
  roles,
  creditedAs,
});

export const toLinkedAuthor = ({ id, text, position, roles, creditedAs }: LinkRecord): LinkedAuthor => ({
  id,
  name: text,
  position,
  roles,
  creditedAs,
});
