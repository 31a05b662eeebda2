import { toAuditEvent } from '../audit/audit-event.js';
import { OperatorError } from '../errors.js';
import { withTables } from './running.js';

/** Prints the parked events, one event a line. */
export async function listParked(): Promise<void> {
  await withTables(async ({ maintenance, tokens }) => {
    for (const row of await maintenance.parked()) {
      const { position, stream, revision, type, error, parked_at } = row;
      const at = tokens.format(BigInt(position));
      const why = error ?? 'waits behind an earlier parked event';
      process.stdout.write(`${at}  ${stream}  ${revision}  ${type}  ${parked_at.toISOString()}  ${why}\n`);
    }
  });
}

/**
 * Prints a stream's parked events in full, from the log.
 * @throws OperatorError if the stream has no parked events.
 */
export async function showParked(stream: string): Promise<void> {
  await withTables(async ({ maintenance, store, tokens }) => {
    const rows = await maintenance.parked(stream);
    if (rows.length === 0) throw new OperatorError(`nothing of ${stream} is parked`);
    const errors = new Map(rows.map(({ event_id, error }) => [event_id, error]));
    for (const event of await store.readStream(stream)) {
      const error = errors.get(event.id);
      if (error === undefined) continue;
      process.stdout.write(`${JSON.stringify({ ...toAuditEvent(event, tokens), error }, null, 2)}\n`);
    }
  });
}

/**
 * Applies a stream's parked events again. Sets exit code 1 if an event is still parked.
 * @param skip leaves out the first parked event.
 */
export async function retryParked(stream: string, skip: boolean): Promise<void> {
  await withTables(async ({ maintenance }) => {
    const left = await maintenance.retry(stream, skip);
    const [first] = left;
    process.stderr.write(
      first ? `${left.length} still parked: ${first.error}\n` : `nothing of ${stream} is parked any more\n`,
    );
    if (first) process.exitCode = 1;
  });
}
