/** Counts an author's links, which are in other streams. Only the read side can. Wired in `resources.module.ts`. */
export abstract class BooksOfAuthor {
  /**
   * Number of books linked to the author. The tables first catch up with the log as of the call.
   * @throws if the tables don't catch up in time, like a query with `Min-Position`.
   */
  abstract count(authorId: string): Promise<number>;
}
