import type { Pool } from 'pg';
import { differingTables } from '../../projections/build/same-tables.js';
import { catalogue } from '../../projections/catalogue/catalogue.projection.js';
import { loadConfig } from '../config.js';
import { OperatorError } from '../errors.js';
import type { EventStore } from '../event-store/event-store.js';
import { compareLogs, transfer } from '../event-store/transfer.js';
import { OperatorActs } from '../operations/operator-acts.js';
import { operationsStream } from '../operations/operations.events.js';
import { createPool } from '../postgres/database.js';
import { openDatabase, openStore } from '../resources.js';
import { actingAs, contextOf, type ActorOptions } from './actor.js';
import { Progress } from './progress.js';
import { withOpened } from './running.js';

export interface TransferOptions extends ActorOptions {
  /** `embedded`, `postgres://…` or `esdb://…`; so is `to`. */
  readonly from: string;
  readonly to: string;
}

/** Copies a log, then compares both logs, and the tables built from each. The copy then tells where it comes from. */
export async function transferLog(options: TransferOptions): Promise<void> {
  const { from, to } = options;
  const acting = actingAs(options);
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
    const [original, copy] = [await source.logId(), await target.logId()];
    if (original === copy) throw new OperatorError('--from and --to are the same log');
    const ownActs = operationsStream(copy);
    const head = await source.head();
    const progress = new Progress(Number(head ?? 0n), 'events');
    let copied = 0;
    for await (const { events, position } of transfer(source, target, ownActs)) {
      signal.throwIfAborted();
      progress.update(Number(position), events);
      copied = events;
    }
    const seconds = progress.end(Number(head ?? 0n), copied);
    process.stderr.write(`${copied} events copied in ${seconds} s; comparing the logs\n`);
    const events = await compareLogs(source, target, ownActs);
    const pool = createPool(database.url);
    try {
      const differing = await differencesOfTables([source, target], database.url, pool, signal);
      if (differing.length > 0) throw new OperatorError(`the tables differ: ${differing.join(', ')}`);
      process.stderr.write(`both logs hold the same ${events} events and give the same tables\n`);
      const act = { type: 'LogTransferred', data: { from: original, events } } as const;
      await new OperatorActs(target, copy, pool).record(act, contextOf(acting));
    } finally {
      await pool.end();
    }
  });
}

/**
 * Builds the tables from each of two logs, then compares both sets of tables.
 * @returns the names of the tables that differ.
 */
async function differencesOfTables(
  stores: readonly [EventStore, EventStore],
  databaseUrl: string,
  pool: Pool,
  signal: AbortSignal,
): Promise<string[]> {
  const context = (store: EventStore, log: string) => ({
    target: { projection: catalogue, schema: catalogue.name, log },
    store,
    pool,
    connectionString: databaseUrl,
  });
  const [a, b] = stores;
  return differingTables([context(a, await a.logId()), context(b, await b.logId())], signal);
}
