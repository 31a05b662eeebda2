import { differingTables } from '../../projections/build/same-tables.js';
import { catalogue } from '../../projections/catalogue/catalogue.projection.js';
import { loadConfig } from '../config.js';
import { OperatorError } from '../errors.js';
import type { EventStore } from '../event-store/event-store.js';
import { compareLogs, transfer } from '../event-store/transfer.js';
import { createPool } from '../postgres/database.js';
import { openDatabase, openStore } from '../resources.js';
import { Progress } from './progress.js';
import { withOpened } from './running.js';

export interface TransferOptions {
  /** `embedded`, `postgres://…` or `esdb://…`; so is `to`. */
  readonly from: string;
  readonly to: string;
}

/** Copies a log, then compares both logs, and the tables built from each. */
export async function transferLog({ from, to }: TransferOptions): Promise<void> {
  const config = loadConfig();
  const open = async (signal: AbortSignal) => {
    const database = await openDatabase(config, signal);
    const stores: EventStore[] = [];
    return {
      database,
      store: async (url: string) => {
        const { url: own, ownerUrl } = url === 'embedded' ? database : { url, ownerUrl: url };
        const store = await openStore(own, config.eventStoreDbPrefix, signal, ownerUrl);
        stores.push(store);
        return store;
      },
      close: async () => {
        for (const store of stores) await store.close();
        await database.close();
      },
    };
  };
  await withOpened(open, async ({ database, store }, signal) => {
    const [source, target] = [await store(from), await store(to)];
    if ((await source.logId()) === (await target.logId()))
      throw new OperatorError('--from and --to are the same log');
    const head = await source.head();
    const progress = new Progress(Number(head ?? 0n), 'events');
    let copied = 0;
    for await (const { events, position } of transfer(source, target)) {
      signal.throwIfAborted();
      progress.update(Number(position), events);
      copied = events;
    }
    const seconds = progress.end(Number(head ?? 0n), copied);
    process.stderr.write(`${copied} events copied in ${seconds} s; comparing the logs\n`);
    const events = await compareLogs(source, target);
    const differing = await differencesOfTables([source, target], database.url, signal);
    if (differing.length > 0) throw new OperatorError(`the tables differ: ${differing.join(', ')}`);
    process.stderr.write(`both logs hold the same ${events} events and give the same tables\n`);
  });
}

/**
 * Builds the tables from each of two logs, then compares both sets of tables.
 * @returns the names of the tables that differ.
 */
async function differencesOfTables(
  stores: readonly [EventStore, EventStore],
  databaseUrl: string,
  signal: AbortSignal,
): Promise<string[]> {
  const pool = createPool(databaseUrl);
  try {
    const context = (store: EventStore, log: string) => ({
      target: { projection: catalogue, schema: catalogue.name, log },
      store,
      pool,
      connectionString: databaseUrl,
    });
    const [a, b] = stores;
    return await differingTables([context(a, await a.logId()), context(b, await b.logId())], signal);
  } finally {
    await pool.end();
  }
}
