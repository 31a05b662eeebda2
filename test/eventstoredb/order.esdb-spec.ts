import { EventStoreDbEventStore } from '../../src/event-store/eventstoredb/eventstoredb-event-store.js';
import { orderDoesNotMatter } from '../projections/order.property.js';
import { eventStoreDbUrl, newPrefix } from '../support/eventstoredb.js';

describe('with the log in memory, and in EventStoreDB', () =>
  orderDoesNotMatter(8, async () => {
    const { prefix, drop: dropLog } = await newPrefix();
    const store = new EventStoreDbEventStore(eventStoreDbUrl(), prefix);
    const drop = async () => {
      await store.close();
      await dropLog();
    };
    return { store, drop };
  }));
