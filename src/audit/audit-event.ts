import { z } from 'zod';
import type { RecordedEvent } from '../event-store/event-store.js';
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
  reason: z.string().nullable(),
  commandId: z.string(),
  correlationId: z.string(),
  causationId: z.string(),
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
    reason: metadata.reason ?? null,
    commandId: metadata.commandId,
    correlationId: metadata.correlationId,
    causationId: metadata.causationId,
    traceParent: metadata.traceParent ?? null,
    schemaVersion: metadata.schemaVersion,
  };
}
