import type { Client } from 'pg';
import { OperatorError } from '../../src/errors.js';
import type { Position } from '../../src/event-store/event-store.js';
import { readCheckpoint, type Checkpoint, type Target } from '../checkpoint.js';
import { takeBatch } from '../take-batch.js';
import type { RebuildContext } from './build.js';

/** The tables can't be compared with the log. */
export class NotComparable extends OperatorError {}

/** @throws NotComparable if the tables are missing, of another version, or of another log. */
export function comparable(live: Checkpoint | undefined, { projection, schema, log }: Target): Checkpoint {
  if (!live) throw new NotComparable(`there are no tables in ${schema}`);
  if (live.version !== projection.version)
    throw new NotComparable(`the tables have version ${live.version}, not ${projection.version}`);
  if (live.log !== log) throw new NotComparable(`the tables in ${schema} were made from another log`);
  return live;
}

/** Largest number of events to apply to the shadow while the projector waits. */
const ALIGN_EVENTS = 500;

/**
 * Brings the shadow to the position of the live tables. Stops the projector at that position, by a lock of a
 * transaction that stays open on `holder`.
 * @returns the position of both.
 */
export async function align(
  holder: Client,
  worker: Client,
  { target, store }: RebuildContext,
  aside: Target,
): Promise<Position | undefined> {
  const { schema, projection } = target;
  const follow = async (to: Position | undefined): Promise<number> => {
    let checkpoint = await readCheckpoint(worker, aside.schema, projection);
    if (!checkpoint || to === undefined) return 0;
    let taken = 0;
    for await (const events of store.readAll({ from: checkpoint.position, to })) {
      checkpoint = await takeBatch(worker, aside, store, checkpoint, events);
      taken += events.length;
    }
    return taken;
  };
  const position = async () => comparable(await readCheckpoint(holder, schema, projection), target).position;
  while ((await follow(await position())) >= ALIGN_EVENTS);
  await holder.query('begin');
  await holder.query(`lock table ${schema}.checkpoint in share row exclusive mode`);
  const reached = await position();
  await follow(reached);
  return reached;
}
