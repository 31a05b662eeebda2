import { EventStoreDbEventStore } from '../../src/event-store/eventstoredb/eventstoredb-event-store.js';
import { boundedBatches, eventStoreContract, timesOfTheLog } from '../event-store/event-store.contract.js';
import { eventStoreDbUrl, newPrefix } from '../support/eventstoredb.js';

describe.each([
  ['the event store in', eventStoreContract],
  ['large events in', boundedBatches],
  ['times in', timesOfTheLog],
])('%s EventStoreDB', (_, contract) => {
  let drop: () => Promise<void>;
  afterAll(() => drop());
  contract(async () => {
    const log = await newPrefix();
    drop = log.drop;
    return new EventStoreDbEventStore(eventStoreDbUrl(), log.prefix);
  });
});
