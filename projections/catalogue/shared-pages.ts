import type { QueryArrayConfig } from 'pg';
import type { Json } from '../../src/http/json.js';
import { queryFor } from '../../src/postgres/database.js';
import { Sharing } from '../../src/postgres/sharing.js';
import { pageJson, type Page, type PageRow } from '../page.js';
import type { ListPool } from './read-model.js';

/** Pages of a list. Callers that ask for the same page at the same time share a statement: see {@link Sharing}. */
export class SharedPages<Item> {
  private readonly sharing = new Sharing<Json<Page<Item>>>();

  constructor(private readonly lists: ListPool) {}

  /**
   * @param filter is all that the statement depends on.
   * @param caller aborts when the caller leaves.
   */
  read<Filter extends { readonly limit: number; readonly sort: string }>(
    filter: Filter,
    caller: AbortSignal | undefined,
    statementOf: (filter: Filter) => QueryArrayConfig,
  ): Promise<Json<Page<Item>>> {
    return this.sharing.ask(JSON.stringify(filter), caller, async (callers, sending) => {
      const rows = await queryFor<PageRow>(callers, this.lists.pool, statementOf(filter), sending);
      return pageJson(rows, filter.limit, filter.sort);
    });
  }
}
