import { useEventStoreDb } from './log.js';

// Imported before a suite: the same tests, on the other store.
useEventStoreDb();
