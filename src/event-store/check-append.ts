import { MAX_APPEND_BYTES } from '../stored-data.js';
import { AppendTooLarge, type NewEvent } from './event-store.js';

/**
 * The checks that every adapter makes.
 * @throws AppendTooLarge if the data exceeds {@link MAX_APPEND_BYTES}.
 * @throws RangeError if there are no events, which is a bug of the caller.
 */
export function checkAppend(events: readonly Pick<NewEvent, 'data'>[]): void {
  if (events.length === 0) throw new RangeError('an append needs at least one event');
  let bytes = 0;
  for (const event of events) bytes += Buffer.byteLength(JSON.stringify(event.data));
  if (bytes > MAX_APPEND_BYTES) throw new AppendTooLarge(bytes);
}
