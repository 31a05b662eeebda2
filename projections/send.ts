import type { ClientBase, QueryConfig, QueryResult, QueryResultRow } from 'pg';

/**
 * Sends a statement of a transaction. Statements run in the order in which they are sent. An error fails those that were
 * sent later too, because the transaction is aborted.
 */
export type Send = <Row extends QueryResultRow>(statement: QueryConfig) => Promise<QueryResult<Row>>;

/**
 * Over a connection in pipeline mode, a statement is sent without waiting for the one before: the server works on one
 * while we prepare the next. In an import, the server waited for a busy process for a third of the time.
 */
export function sender(client: ClientBase): Send {
  if ('pipeline' in client && client.pipeline === true) return (statement) => client.query(statement);
  let before: Promise<unknown> = Promise.resolve();
  return <Row extends QueryResultRow>(statement: QueryConfig) => {
    const result = before.then(() => client.query<Row>(statement));
    before = result.catch(() => undefined);
    return result;
  };
}

/**
 * Waits until all have ended, so that nothing that was sent is still on its way.
 * @throws the error of the first that failed.
 */
export async function settled<T extends readonly Promise<unknown>[]>(
  all: readonly [...T],
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  await Promise.allSettled(all);
  return Promise.all(all);
}
