import { MemoryEventStore } from '../../src/event-store/memory/memory-event-store.js';
import { eventStoreContract } from './event-store.contract.js';

describe('the event store in memory', () => eventStoreContract(async () => new MemoryEventStore()));
