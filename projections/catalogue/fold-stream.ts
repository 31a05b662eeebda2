import type { RecordedEvent } from '../../src/event-store/event-store.js';
import { isSkipped, type Skips } from '../skips.js';
import type { Known, Standing } from './rows.js';

export type Fold<Row> = (before: Standing<Row>, event: RecordedEvent) => Known<Row>;

/**
 * The state of an author or book after more events of its stream, as the tables have it: a skipped event has no effect,
 * and an event that can't be applied blocks the later ones.
 * @returns stale if an event can't be applied.
 */
export function foldStream<Row>(
  before: Standing<Row>,
  events: readonly RecordedEvent[],
  skips: Skips,
  fold: Fold<Row>,
): { readonly standing: Standing<Row>; readonly stale: boolean } {
  let standing = before;
  for (const event of events) {
    if (isSkipped(skips, event)) continue;
    try {
      standing = fold(standing, event);
    } catch {
      return { standing, stale: true };
    }
  }
  return { standing, stale: false };
}
