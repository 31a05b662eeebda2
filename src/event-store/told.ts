import { appendEnded, type AppendOutcome } from '../signals.js';
import {
  AnotherLog,
  EventStoreUnavailable,
  RevisionConflict,
  type AppendResult,
  type NewEvent,
} from './event-store.js';

/** Makes an append, and tells how it ended. */
export async function told(
  events: readonly NewEvent[],
  append: () => Promise<AppendResult>,
): Promise<AppendResult> {
  const began = performance.now();
  let outcome: AppendOutcome = 'written';
  try {
    return await append();
  } catch (error) {
    outcome = outcomeOf(error);
    throw error;
  } finally {
    appendEnded.tell({ outcome, events: events.length, seconds: (performance.now() - began) / 1_000 });
  }
}

function outcomeOf(error: unknown): AppendOutcome {
  if (error instanceof RevisionConflict) return 'conflict';
  return error instanceof EventStoreUnavailable || error instanceof AnotherLog ? 'unavailable' : 'refused';
}
