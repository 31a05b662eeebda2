/** Finds an author's books, whose streams name the author. Only the read side can. Wired in `resources.module.ts`. */
export abstract class BooksOfAuthor {
  /**
   * Number of books linked to the author. The tables first catch up with the log as of the call.
   * @throws if the tables don't catch up in time, like a query with `Min-Position`.
   */
  abstract count(authorId: string): Promise<number>;

  /**
   * Ids of books linked to the author, in the order of ids. The tables first catch up with the log as of the call.
   * @throws as {@link count}, and if `after` isn't the `next` of a page.
   */
  abstract page(authorId: string, page: PageRequest): Promise<PageOfIds>;
}

export interface PageRequest {
  /** Largest number of books on the page. */
  readonly limit: number;
  /** The `next` of the page before. */
  readonly after?: string | undefined;
}

export interface PageOfIds {
  readonly ids: readonly string[];
  /** The cursor of the next page; null on the last page. */
  readonly next: string | null;
}
