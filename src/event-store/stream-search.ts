import type { Position } from './event-store.js';

/** Names of streams, in the order of events. A stream may occur again on a later page. */
export interface StreamPage {
  readonly streams: readonly string[];
  /** The place to go on from; undefined at the end. A page before the end may be empty. */
  readonly next: Position | undefined;
}

/** Which events of a change, or of an author, lead to their streams. */
export interface StreamFilter {
  /** Only streams of this category. */
  readonly category?: string;
  /** Only events of these types. */
  readonly types?: readonly string[];
  /** Only events after, and before, these positions. */
  readonly after?: Position | undefined;
  readonly before?: Position | undefined;
  /** Number of events to look at; by default, many. */
  readonly look?: number;
}

/** Finds streams by index. Only the read side can. Wired in `resources.ts`. */
export abstract class StreamSearch {
  /** Waits until the events up to a position can be found. Returns false if that takes longer than the patience. */
  abstract reached(position: Position, patienceMs: number): Promise<boolean>;

  /** The streams that have events of a change. */
  abstract ofChange(change: string, filter: StreamFilter): Promise<StreamPage>;

  /** The streams of others that have events about an author: of the author's books, also of former ones. */
  abstract ofAuthor(authorId: string, filter: StreamFilter): Promise<StreamPage>;
}
