import type { Maintenance } from '../../projections/maintenance.js';
import type { ParkedRow } from '../../projections/parking.js';
import { toAuditEvent } from '../audit/audit-event.js';
import { OperatorError } from '../errors.js';
import { chosen } from './projections.js';
import { withTables } from './running.js';

/** Prints the parked events of each projection, or of the named one, one event a line. */
export async function listParked(name: string | undefined): Promise<void> {
  await withTables(async ({ maintenance: all, tokens }) => {
    for (const maintenance of chosen(all, name))
      for (const row of await maintenance.parked()) {
        const { position, stream, revision, type, error, parked_at } = row;
        const why = error ?? 'waits behind an earlier parked event';
        const words = [
          maintenance.name,
          tokens.format(BigInt(position)),
          stream,
          revision,
          type,
          parked_at.toISOString(),
          why,
        ];
        process.stdout.write(`${words.join('  ')}\n`);
      }
  });
}

/**
 * Prints a stream's parked events in full, from the log.
 * @throws OperatorError if the stream has no parked events.
 */
export async function showParked(stream: string, name: string | undefined): Promise<void> {
  await withTables(async ({ maintenance: all, store, tokens }) => {
    for (const { maintenance, rows } of await parkedIn(all, stream, name)) {
      const errors = new Map(rows.map(({ event_id, error }) => [event_id, error]));
      for (const event of await store.readStream(stream)) {
        const error = errors.get(event.id);
        if (error === undefined) continue;
        const shown = { projection: maintenance.name, ...toAuditEvent(event, tokens), error };
        process.stdout.write(`${JSON.stringify(shown, null, 2)}\n`);
      }
    }
  });
}

/**
 * Applies a stream's parked events again, in each projection that has some, or in the named one. Sets exit code 1 if an
 * event is still parked.
 * @param skip leaves out the first parked event.
 * @throws OperatorError if the stream has no parked events.
 */
export async function retryParked(stream: string, skip: boolean, name: string | undefined): Promise<void> {
  await withTables(async ({ maintenance: all }) => {
    for (const { maintenance } of await parkedIn(all, stream, name)) {
      const left = await maintenance.retry(stream, skip);
      const [first] = left;
      process.stderr.write(
        first ? `${left.length} still parked: ${first.error}\n` : `nothing of ${stream} is parked any more\n`,
      );
      if (first) process.exitCode = 1;
    }
  });
}

/** The projections in which events of a stream are parked. */
async function parkedIn(
  all: readonly Maintenance[],
  stream: string,
  name: string | undefined,
): Promise<{ maintenance: Maintenance; rows: ParkedRow[] }[]> {
  const found = await Promise.all(
    chosen(all, name).map(async (maintenance) => ({ maintenance, rows: await maintenance.parked(stream) })),
  );
  const parked = found.filter(({ rows }) => rows.length > 0);
  if (parked.length === 0) throw new OperatorError(`nothing of ${stream} is parked`);
  return parked;
}
