import type { Position } from '../../src/event-store/event-store.js';
import { readCheckpoint } from '../checkpoint.js';
import type { RebuildContext, RebuildOptions, RebuildReport } from './build.js';
import { VerificationFailed } from './bulk-load.js';
import { RebuildRecord } from './rebuild-record.js';
import { dropSchema, markSchema } from './schemas.js';
import { buildShadow, checkAccount } from './shadow.js';
import { inSchema } from './tables.js';
import { withWorkers } from './workers.js';

/** The mark of a schema that {@link buildAsOf} built. */
export const AS_OF = 'tables as of a moment';

/**
 * Builds the tables as of a position, as ordinary tables in a separate schema.
 * @throws RebuildRunning
 * @throws VerificationFailed as {@link rebuild}.
 */
export async function buildAsOf(
  context: RebuildContext,
  to: Position | undefined,
  options: RebuildOptions = {},
): Promise<RebuildReport> {
  const { target } = context;
  const { schema, projection } = target;
  return withWorkers(context, `building of ${schema}`, options.signal, async (client, open) => {
    const building = { ...target, schema: `colophon_building_${schema}` };
    const progress = new RebuildRecord(options);
    await dropSchema(client, building.schema);
    try {
      const { events, skipped } = await buildShadow(context, building, to, client, open, progress, options);
      await progress.enter('verifying', building.schema);
      const checkpoint = await readCheckpoint(client, building.schema, projection);
      if (!checkpoint) throw new VerificationFailed(`${building.schema} has no checkpoint`);
      await checkAccount(client, building, events, checkpoint, skipped);
      await inSchema(client, building.schema, projection.references());
      await client.query('begin');
      await dropSchema(client, schema);
      await client.query(
        `alter schema ${building.schema} rename to "${schema}"; ${markSchema(schema, AS_OF)}; commit`,
      );
      return { events, parked: checkpoint.parked, position: to };
    } catch (error) {
      // The session that holds the lock clears up. If the session is lost, the next build clears up.
      await client.query('rollback').catch(() => undefined);
      await dropSchema(client, building.schema).catch(() => undefined);
      throw error;
    }
  });
}
