import { z } from 'zod';
import type { Position, RecordedEvent } from '../event-store/event-store.js';
import type { PositionTokens } from '../event-store/position-token.js';
import { canonicalUuid } from '../http/schemas.js';

/** The auditors' view of an event: what happened, who acted, when and why, revision and position. */
export const auditEvent = z.object({
  position: z.string(),
  stream: z.string(),
  revision: z.string(),
  id: canonicalUuid,
  type: z.string(),
  data: z.record(z.string(), z.unknown()),
  recordedAt: z.iso.datetime(),
  actor: z.string(),
  onBehalfOf: z.string().optional().describe('only if the actor acted for somebody: the person'),
  reason: z.string().nullable(),
  commandId: z.string(),
  correlationId: z.string(),
  causationId: z.string(),
  reverts: z.string().optional().describe('only if the event is part of a revert: the change that it undoes'),
  traceParent: z.string().nullable(),
  schemaVersion: z.int(),
});

export type AuditEvent = z.output<typeof auditEvent>;

export function toAuditEvent(event: RecordedEvent, tokens: PositionTokens): AuditEvent {
  const { metadata } = event;
  return {
    position: tokens.format(event.position),
    stream: event.stream,
    revision: event.revision.toString(),
    id: event.id,
    type: event.type,
    data: event.data as Record<string, unknown>,
    recordedAt: event.recordedAt.toISOString(),
    actor: metadata.actor,
    ...(metadata.onBehalfOf !== undefined && { onBehalfOf: metadata.onBehalfOf }),
    reason: metadata.reason ?? null,
    commandId: metadata.commandId,
    correlationId: metadata.correlationId,
    causationId: metadata.causationId,
    ...(metadata.reverts !== undefined && { reverts: metadata.reverts }),
    traceParent: metadata.traceParent ?? null,
    schemaVersion: metadata.schemaVersion,
  };
}

/** Events as NDJSON. */
export const toLines = (events: readonly RecordedEvent[], tokens: PositionTokens): string =>
  events.map((event) => `${JSON.stringify(toAuditEvent(event, tokens))}\n`).join('');

export const tokenOf = (position: Position | undefined, tokens: PositionTokens): string | null =>
  position === undefined ? null : tokens.format(position);

export const UP_TO = 'the answer is complete up to this position; ask again for later events';
/** How far an answer that was found by index knows the log. */
export const upTo = z.string().nullable().describe(UP_TO);

/** A text that a table can hold. */
export const plainText = (longest: number) =>
  z
    .string()
    .min(1)
    .max(longest)
    .refine((text) => text.isWellFormed() && !text.includes('\0'), 'must be well-formed text');

/** The header `X-Correlation-Id` has no more characters. */
export const changeId = plainText(255);
