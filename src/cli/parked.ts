import { NestFactory } from '@nestjs/core';
import { CommandBus } from '@nestjs/cqrs';
import { NothingParked } from '../../projections/retry-parked.js';
import { AppModule } from '../app.module.js';
import { toAuditEvent } from '../audit/audit-event.js';
import { OperatorError } from '../errors.js';
import { newId } from '../ids.js';
import { SkipEvent } from '../operations/skip-event.js';
import { whenAborted } from '../program.js';
import { actingAs, type ActorOptions } from './actor.js';
import { withResources, withTables } from './running.js';

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
 * @throws NothingParked
 */
export async function showParked(stream: string): Promise<void> {
  await withTables(async ({ maintenance, store, tokens }) => {
    const rows = await maintenance.parked(stream);
    if (rows.length === 0) throw new NothingParked(stream);
    const errors = new Map(rows.map(({ event_id, error }) => [event_id, error]));
    for (const event of await store.readStream(stream)) {
      const error = errors.get(event.id);
      if (error === undefined) continue;
      process.stdout.write(`${JSON.stringify({ ...toAuditEvent(event, tokens), error }, null, 2)}\n`);
    }
  });
}

/** Applies a stream's parked events again. Sets exit code 1 if an event is still parked. */
export async function retryParked(stream: string): Promise<void> {
  await withTables(async ({ maintenance }) => tell(stream, await maintenance.retry(stream)));
}

/**
 * Writes into the log that the first parked event of a stream has no effect, and waits until the tables follow. Sets exit
 * code 1 if an event is still parked, or the tables are behind.
 * @throws NothingParked
 */
export async function skipParked(stream: string, options: ActorOptions): Promise<void> {
  const acting = actingAs(options);
  await withResources(async (resources, signal) => {
    const { maintenance, projector } = resources;
    const [first] = await maintenance.parked(stream);
    if (!first) throw new NothingParked(stream);
    const { revision, event_id: eventId } = first;
    const id = newId();
    const context = { ...acting, commandId: id, correlationId: id };
    const app = await NestFactory.createApplicationContext(AppModule.of(resources), { logger: false });
    const { position } = await app
      .get(CommandBus)
      .execute(new SkipEvent(projector.projection.name, { stream, revision, eventId }, context));
    await app.close();
    const followed = await Promise.race([projector.reached(position, FOLLOW_MS), whenAborted(signal)]);
    if (followed) tell(stream, await maintenance.parked(stream));
    else if (followed === false)
      throw new OperatorError('the skip is in the log, but the tables are still behind');
  });
}

function tell(stream: string, left: readonly { readonly error: string | null }[]): void {
  const [first] = left;
  process.stderr.write(
    first ? `${left.length} still parked: ${first.error}\n` : `nothing of ${stream} is parked any more\n`,
  );
  if (first) process.exitCode = 1;
}

/** Longest wait for the tables after a skip. */
const FOLLOW_MS = 60_000;
