import type { Client } from 'pg';
import { OperatorError } from '../../src/errors.js';
import { readCheckpoint, type Checkpoint, type Target } from '../checkpoint.js';
import type { RebuildContext } from './build.js';
import { refusal } from './refusal.js';
import type { Shadow } from './shadow.js';

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
 * Begins a transaction that stops the projector, by a lock on the row of the checkpoint. Every batch of the projector
 * takes this lock first, and so does all work on the live tables. So nobody waits for another in a circle.
 * @param lockMs how long the transaction waits for each lock.
 * @returns the live tables' checkpoint.
 */
async function stopProjector(
  holder: Client,
  { target: { schema, projection } }: RebuildContext,
  lockMs: number,
): Promise<Checkpoint | undefined> {
  // A process that freezes here would otherwise stop the projection for ever.
  await holder.query(
    `begin isolation level read committed;
     set local lock_timeout = ${lockMs}; set local idle_in_transaction_session_timeout = '30s'`,
  );
  return readCheckpoint(holder, schema, projection, 'for update');
}

/**
 * A transaction that begins with {@link stopProjector}.
 * @throws ApplyRefused if something of others is in the way.
 */
export async function whileStopped(
  holder: Client,
  context: RebuildContext,
  lockMs: number,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await stopProjector(holder, context, lockMs);
    await work();
    await holder.query('commit');
  } catch (error) {
    await holder.query('rollback').catch(() => undefined);
    throw refusal(error);
  }
}

/** Brings the shadow near the position of the live tables, while the projector goes on. */
export async function approach(holder: Client, shadow: Shadow, context: RebuildContext): Promise<void> {
  const { schema, projection, log } = context.target;
  const position = async () => {
    const live = await readCheckpoint(holder, schema, projection);
    return live?.log === log ? live.position : undefined;
  };
  while ((await shadow.follow(await position())) >= ALIGN_EVENTS);
}

/**
 * Brings the shadow to the position of the live tables, and stops the projector there, like {@link stopProjector}.
 * Tables of another log have no position that the shadow could reach.
 */
export async function align(
  holder: Client,
  shadow: Shadow,
  context: RebuildContext,
  lockMs: number,
): Promise<Checkpoint | undefined> {
  for (;;) {
    await approach(holder, shadow, context);
    const live = await stopProjector(holder, context, lockMs);
    if (live?.log !== context.target.log) return live;
    if ((await shadow.follow(live.position, ALIGN_EVENTS)) < ALIGN_EVENTS) return live;
    await holder.query('rollback');
  }
}
