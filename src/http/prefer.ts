import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { commandAnswer, type CommandAnswer } from './command-answer.js';

/** Longest wait for the end of a change, in seconds. */
export const MAX_WAIT_S = 30;
/** Callers that wait for the end of a change. Who comes later is answered at once: a preference need not be heeded. */
const MAX_WAITING = 1_000;
let waiting = 0;

/** The answer to a command whose change goes on in other streams. */
export const changeAnswer = commandAnswer.extend({
  change: z.string().describe('the id of the change, for GET /changes/{id}'),
  underWay: z.boolean().describe('whether other authors or books are still to be changed'),
});

export type ChangeAnswer = z.output<typeof changeAnswer>;

/** A change that began with an event at a position. */
export interface BegunChange {
  readonly change: string;
  readonly position: bigint;
}

/**
 * Adds to a command's answer which change the command began, and whether the change is still under way. A caller who
 * prefers to wait gets the answer when the change has ended, or after the preferred time.
 * @param ended waits for the end of the change, and says whether the change ended; undefined if the change ended with
 *        the command.
 */
export async function answerChange(
  request: Pick<FastifyRequest, 'headers'>,
  reply: FastifyReply,
  answer: CommandAnswer,
  { change, position }: BegunChange,
  ended?: (change: string, position: bigint, patienceMs: number) => Promise<boolean>,
): Promise<ChangeAnswer> {
  const seconds = waiting < MAX_WAITING ? preferredWait(request) : undefined;
  if (seconds !== undefined) reply.header('preference-applied', `wait=${seconds}`);
  waiting += 1;
  try {
    const done = ended ? await ended(change, position, (seconds ?? 0) * 1_000) : true;
    return { ...answer, change, underWay: !done };
  } finally {
    waiting -= 1;
  }
}

/**
 * How many seconds the caller prefers to wait, from the header `Prefer: wait=N` (RFC 7240); {@link MAX_WAIT_S} at most. As
 * the standard says, a preference that is not understood is ignored, and the first of two counts.
 */
export function preferredWait({ headers }: Pick<FastifyRequest, 'headers'>): number | undefined {
  const preferences = [headers['prefer'] ?? []].flat().join().split(',');
  const wait = preferences.find((preference) => /^\s*wait\s*=/i.test(preference));
  const [, , seconds] = /^\s*wait\s*=\s*("?)(\d+)\1\s*(;.*)?$/i.exec(wait ?? '') ?? [];
  return seconds === undefined ? undefined : Math.min(Number(seconds), MAX_WAIT_S);
}
