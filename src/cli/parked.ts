import { NestFactory } from '@nestjs/core';
import { CommandBus } from '@nestjs/cqrs';
import type { Maintenance } from '../../projections/maintenance.js';
import type { ParkedRow } from '../../projections/parking.js';
import { NothingParked } from '../../projections/retry-parked.js';
import { AppModule } from '../app.module.js';
import { toAuditEvent } from '../audit/audit-event.js';
import { OperatorError } from '../errors.js';
import { SkipEvent } from '../operations/skip-event.js';
import { whenAborted } from '../program.js';
import { actingAs, contextOf, type ActorOptions } from './actor.js';
import { listParkedStreams, meansPolicies, POLICIES, retryInPolicies } from './parked-policies.js';
import { chosen } from './projections.js';
import { withResources, withTables } from './running.js';

/**
 * Prints the parked events of each projection, and the streams for which policies failed, or only those of the named one,
 * one a line.
 */
export async function listParked(name: string | undefined): Promise<void> {
  await withTables(async ({ maintenance: all, policyTables, tokens }) => {
    for (const maintenance of projectionsMeant(all, name))
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
    if (meansPolicies(name)) await listParkedStreams(policyTables, tokens);
  });
}

const projectionsMeant = (all: readonly Maintenance[], name: string | undefined): readonly Maintenance[] =>
  name === POLICIES ? [] : chosen(all, name);

/**
 * Prints a stream's parked events in full, from the log.
 * @throws NothingParked
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
 * Applies a stream's parked events again, in each projection that has some, or in the named one. Policies do again what
 * failed for the stream. Sets exit code 1 if something is still parked.
 * @throws NothingParked
 */
export async function retryParked(
  stream: string,
  name: string | undefined,
  options: ActorOptions,
): Promise<void> {
  const acting = actingAs(options);
  let inPolicies = false;
  await withTables(async ({ maintenance: all, policyTables }) => {
    await policyTables.ensure();
    inPolicies = meansPolicies(name) && (await policyTables.parked({ stream })).length > 0;
    for (const { maintenance } of await parkedIn(all, stream, name, inPolicies))
      tell(stream, await maintenance.retry(stream, { by: contextOf(acting) }));
  });
  if (inPolicies) await retryInPolicies(stream);
}

/**
 * Writes into the log that the first parked event of a stream has no effect, for each projection that has some, or for the
 * named one, and waits until the tables follow. Sets exit code 1 if an event is still parked, or the tables are behind.
 * What policies failed to do for the stream stays undone.
 * @throws NothingParked
 */
export async function skipParked(
  stream: string,
  name: string | undefined,
  options: ActorOptions,
): Promise<void> {
  const acting = actingAs(options);
  await withResources(async (resources, signal) => {
    const dropped = meansPolicies(name) ? await resources.policyTables.drop(stream) : 0;
    const parked = await parkedIn(resources.maintenance, stream, name, dropped > 0);
    const app = await NestFactory.createApplicationContext(AppModule.of(resources), { logger: false });
    for (const { maintenance, rows } of parked) {
      const [{ revision, event_id: eventId }] = rows;
      const { position } = await app
        .get(CommandBus)
        .execute(new SkipEvent(maintenance.name, { stream, revision, eventId }, contextOf(acting)));
      const projectors = [resources.projector, resources.changesProjector];
      const projector = projectors.find(({ projection }) => projection.name === maintenance.name);
      const followed = await Promise.race([projector?.reached(position, FOLLOW_MS), whenAborted(signal)]);
      if (followed) tell(stream, await maintenance.parked(stream));
      else if (followed === false)
        throw new OperatorError('the skip is in the log, but the tables are still behind');
    }
    await app.close();
  });
}

/**
 * The projections in which events of a stream are parked.
 * @throws NothingParked if there are none, unless `mayBeNone`.
 */
async function parkedIn(
  all: readonly Maintenance[],
  stream: string,
  name: string | undefined,
  mayBeNone = false,
): Promise<{ maintenance: Maintenance; rows: [ParkedRow, ...ParkedRow[]] }[]> {
  const found = await Promise.all(
    projectionsMeant(all, name).map(async (maintenance) => ({
      maintenance,
      rows: await maintenance.parked(stream),
    })),
  );
  const parked = found.flatMap(({ maintenance, rows: [first, ...rest] }) =>
    first ? [{ maintenance, rows: [first, ...rest] as [ParkedRow, ...ParkedRow[]] }] : [],
  );
  if (parked.length === 0 && !mayBeNone) throw new NothingParked(stream);
  return parked;
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
