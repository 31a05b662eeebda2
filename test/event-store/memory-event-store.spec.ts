import { MemoryEventStore } from '../../src/event-store/memory/memory-event-store.js';
import { eventStoreContract, timesOfTheLog } from './event-store.contract.js';

describe('the event store in memory', () => eventStoreContract(async () => new MemoryEventStore()));

describe('times in memory', () => timesOfTheLog(async () => new MemoryEventStore()));
