import type { RebuildProgress } from '../../projections/build/build.js';
import { OperatorError } from '../errors.js';
import { MOMENT_RULE, parseMoment, type Moment } from '../event-store/moment.js';
import type { PositionTokens } from '../event-store/position-token.js';
import { actingAs, contextOf, type ActorOptions } from './actor.js';
import { PhasedProgress } from './progress.js';
import { chosen } from './projections.js';
import { withTables } from './running.js';

export interface RebuildCommandOptions extends ActorOptions {
  readonly allowParked?: true;
  readonly asOf?: string;
  readonly schema?: string;
  readonly replace?: true;
}

/** Rebuilds the tables of one projection, or of all, one after the other. As of a moment, those of the catalogue. */
export async function rebuildTables(name: string | undefined, options: RebuildCommandOptions): Promise<void> {
  const { allowParked, asOf, schema, replace = false } = options;
  if ((asOf === undefined) !== (schema === undefined))
    throw new OperatorError('--as-of and --schema go together');
  const acting = actingAs(options);
  await withTables(async ({ maintenance: all, tokens }, signal) => {
    const meant = name === undefined && asOf !== undefined ? all.slice(0, 1) : chosen(all, name);
    for (const maintenance of meant) {
      const progress = new PhasedProgress();
      const settings = {
        allowParked,
        signal,
        onProgress: (step: RebuildProgress) => progress.update(step),
        onHeldUp: (holders: string) => progress.say(`waiting for ${holders}`),
      };
      const { events, parked, position, rows } =
        asOf === undefined || schema === undefined
          ? await maintenance.rebuild({ ...settings, by: contextOf(acting) })
          : await maintenance.buildAsOf(momentOf(asOf, tokens), schemaName(schema), replace, settings);
      const written = asOf === undefined ? `; ${rows} rows written` : '';
      const up = position === undefined ? 'an empty log' : `up to ${tokens.format(position)}`;
      progress.end(
        `${schema ?? maintenance.name}: ${events} events, ${up}, in ${progress.seconds} s${written}` +
          (parked > 0
            ? `; ${parked} parked${asOf === undefined ? ', see `colophon parked list`' : ' at that moment'}`
            : ''),
      );
    }
  });
}

function momentOf(text: string, tokens: PositionTokens): Moment {
  const moment = parseMoment(text, tokens);
  if (!moment) throw new OperatorError(`--as-of ${MOMENT_RULE}`);
  return moment;
}

function schemaName(name: string): string {
  if (!/^(?!pg_)[a-z_][a-z0-9_]{0,58}$/.test(name))
    throw new OperatorError('--schema must be a plain lower-case name that does not begin with pg_');
  return name;
}
