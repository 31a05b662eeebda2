import { PostgresEventStore } from '../../src/event-store/postgres/postgres-event-store.js';
import { createDatabase } from '../support/database.js';
import { orderDoesNotMatter } from './order.property.js';

describe('with the log in memory, and in PostgreSQL', () =>
  orderDoesNotMatter(20, async () => {
    const log = await createDatabase();
    const store = new PostgresEventStore(log.url);
    const drop = async () => {
      await store.close();
      await log.drop();
    };
    return { store, drop };
  }));
