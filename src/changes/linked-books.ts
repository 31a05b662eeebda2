import type { Position } from '../event-store/event-store.js';

/** Which live books link an author. Only the read side knows. Wired in `resources.ts`. */
export abstract class LinkedBooks {
  /** Waits until the answers show the events up to a position. Returns false if that takes longer than the patience. */
  abstract reached(position: Position, patienceMs: number): Promise<boolean>;

  /** Numbers of books by author. Authors without books are left out. */
  abstract count(authorIds: readonly string[]): Promise<ReadonlyMap<string, number>>;

  /** Ids of some books of an author. */
  abstract of(authorId: string, limit: number): Promise<readonly string[]>;
}
