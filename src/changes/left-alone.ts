import { z } from 'zod';
import type { EventStore, Position, RecordedEvent } from '../event-store/event-store.js';
import type { PositionTokens } from '../event-store/position-token.js';
import type { LeftAsItWas } from './change-progress.js';

/** A fact that a revert leaves as it is. */
export const leftAlone = z.object({
  stream: z.string(),
  fact: z
    .string()
    .describe('what the reverted change did, such as `name`, `title`, `added` or `link <author id>`'),
  why: z
    .string()
    .describe(
      '`changed-since`: somebody changed the fact. `author-has-books`: the author has books by others. ' +
        '`author-removed`: the author who would be needed is not there',
    ),
  since: z
    .object({
      position: z.string(),
      type: z.string(),
      actor: z.string(),
      change: z.string(),
      recordedAt: z.iso.datetime(),
    })
    .nullable()
    .describe('the event that changed the fact since; null if there is none'),
});

export type ShownLeftAlone = z.output<typeof leftAlone>;

export const toLeftAlone = (
  { fact, why, since }: { fact: string; why: string; since: RecordedEvent | undefined },
  tokens: PositionTokens,
): Omit<ShownLeftAlone, 'stream'> => ({
  fact,
  why,
  since: since
    ? {
        position: tokens.format(since.position),
        type: since.type,
        actor: since.metadata.actor,
        change: since.metadata.correlationId,
        recordedAt: since.recordedAt.toISOString(),
      }
    : null,
});

/** The same facts, each with the event that changed it since. */
export async function showLeftAlone(
  facts: LeftAsItWas['facts'],
  store: EventStore,
  tokens: PositionTokens,
): Promise<ShownLeftAlone[]> {
  const positions = new Set(facts.flatMap(({ since }) => since ?? []));
  const events = new Map<Position, RecordedEvent>();
  for await (const batch of store.readAt([...positions].toSorted((a, b) => (a < b ? -1 : 1))))
    for (const event of batch) events.set(event.position, event);
  return facts.map(({ stream, since, ...fact }) => ({
    stream,
    ...toLeftAlone({ ...fact, since: since === undefined ? undefined : events.get(since) }, tokens),
  }));
}
