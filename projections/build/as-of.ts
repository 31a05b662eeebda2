import type { Position } from '../../src/event-store/event-store.js';
import type { RebuildContext, RebuildOptions, RebuildReport } from './build.js';
import { RebuildRecord } from './rebuild-record.js';
import { dropSchema, markSchema, schemaFor } from './schemas.js';
import { Shadow } from './shadow.js';
import { inSchema } from './tables.js';
import { withWorkers } from './workers.js';

/** The mark of a schema that {@link buildAsOf} built. */
export const AS_OF = 'tables as of a moment';

/**
 * Builds the tables as of a position, with all keys and indexes, in a separate schema.
 * @throws RebuildRunning
 * @throws VerificationFailed as {@link rebuild}.
 * @throws SchemaTaken
 */
export async function buildAsOf(
  context: RebuildContext,
  to: Position | undefined,
  options: RebuildOptions = {},
): Promise<RebuildReport> {
  const { schema, projection } = context.target;
  const building = schemaFor('building', schema);
  const what = `building of ${schema}`;
  return withWorkers(context, what, building, options.signal, async (client, open) => {
    const progress = new RebuildRecord(options);
    const shadow = await Shadow.build(context, building, to, open, progress, options, true);
    await progress.enter('verifying', building);
    await shadow.checkAccount();
    await inSchema(client, building, projection.references());
    await client.query('begin');
    await dropSchema(client, schema);
    await client.query(
      `alter schema ${building} rename to "${schema}"; ${markSchema(schema, AS_OF)}; commit`,
    );
    return { events: shadow.events, parked: shadow.checkpoint.parked, position: to, rows: 0 };
  });
}
