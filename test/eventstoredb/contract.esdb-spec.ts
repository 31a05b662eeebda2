import { EventStoreDbEventStore } from '../../src/event-store/eventstoredb/eventstoredb-event-store.js';
import { boundedBatches, eventStoreContract } from '../event-store/event-store.contract.js';
import { eventStoreDbUrl, newPrefix } from '../support/eventstoredb.js';

describe('the event store in EventStoreDB', () => {
  let drop: () => Promise<void>;
  afterAll(() => drop());
  eventStoreContract(async () => {
    const log = await newPrefix();
    drop = log.drop;
    return new EventStoreDbEventStore(eventStoreDbUrl(), log.prefix);
  });
});

describe('large events in EventStoreDB', () => {
  let drop: () => Promise<void>;
  afterAll(() => drop());
  boundedBatches(async () => {
    const log = await newPrefix();
    drop = log.drop;
    return new EventStoreDbEventStore(eventStoreDbUrl(), log.prefix);
  });
});
