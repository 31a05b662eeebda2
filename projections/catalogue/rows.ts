import type { Role } from '../../src/books/roles.js';

/** A row of `authors`. */
export interface AuthorRow {
  readonly id: string;
  readonly name: string;
  /** The key of the source that the author was imported from. */
  readonly sourceKey: string | null;
  readonly revision: bigint;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** A row of `author_book`, or of `waiting_links` if the author has no row. The position is the place in the list. */
export interface LinkRow {
  readonly authorId: string;
  readonly roles: readonly Role[];
  readonly creditedAs: string | null;
  readonly linkedAt: Date;
  readonly linkedBy: string;
  readonly eventId: string;
}

/** A row of `books` with its links in order. */
export interface BookRow {
  readonly id: string;
  readonly title: string;
  /** What lists sort the title by, if that is another text. */
  readonly filedAs: string | null;
  readonly sourceKey: string | null;
  readonly revision: bigint;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly links: readonly LinkRow[];
}

/** The facts kept about a removed author or book. */
export interface Removed {
  readonly id: string;
  readonly revision: bigint;
  readonly createdAt: Date;
  readonly removedAt: Date;
  /** The author whom a merged author was merged into. Not loaded: see {@link MergedRow}. */
  readonly into?: string;
}

/** A row of `author_redirects`. */
export interface MergedRow {
  readonly authorId: string;
  readonly intoId: string;
  /** The last author of the chain of merges; null while merges at the same time form a circle. */
  readonly survivorId: string | null;
}

/** The state of an author or book that exists or has been removed. */
export type Known<Row> = { readonly row: Row } | { readonly removed: Removed };

/** The state of an author or book; undefined if unknown. */
export type Standing<Row> = undefined | Known<Row>;
