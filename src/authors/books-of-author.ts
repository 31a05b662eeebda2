/** A question about another stream's links, which only the read side can answer. `resources.module.ts` wires it. */
export abstract class BooksOfAuthor {
  /**
   * How many books are linked to the author, by tables that have caught up with the log as of the call.
   * @throws when the tables don't catch up in time, as a query with `Min-Position` would.
   */
  abstract count(authorId: string): Promise<number>;
}
