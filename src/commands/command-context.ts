import type { EventMetadata, Revision } from '../event-store/event-store.js';

/** Everything about a command that isn't its wish: who, why, under which conditions, as part of what. */
export interface CommandContext {
  readonly commandId: string;
  /** Set where the caller may repeat the command: its events are looked for before anything is decided. */
  readonly digest?: string;
  readonly actor: string;
  readonly reason?: string;
  /** The change that the command is part of: its own id, unless the caller names another. */
  readonly correlationId: string;
  /** What caused the command's events: the event that a policy reacted to. The command itself by default. */
  readonly causationId?: string;
  /** An id made for what this command may create. */
  readonly newResourceId?: string;
  readonly traceParent?: string;
  /** `If-Match`: the revisions the caller accepts; `any` is "must exist". */
  readonly ifMatch?: 'any' | readonly Revision[];
}

/** What a command answers. */
export interface CommandResult {
  readonly id: string;
  /** Of the stream's last event, after the command. */
  readonly revision: Revision;
  /** Of that event: a reader who has reached it sees the command's effect. */
  readonly position: bigint;
  /** The command began the stream. */
  readonly created: boolean;
  /** The command was answered without writing anything. */
  readonly unchanged: boolean;
}

export function metadataOf(context: CommandContext): EventMetadata {
  const { commandId, digest, actor, reason, correlationId, causationId, traceParent } = context;
  return {
    commandId,
    ...(digest && { digest }),
    actor,
    ...(reason && { reason }),
    correlationId,
    causationId: causationId ?? commandId,
    ...(traceParent && { traceParent }),
    schemaVersion: 1,
  };
}
