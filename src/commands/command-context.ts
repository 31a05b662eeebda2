import type { EventMetadata, Revision } from '../event-store/event-store.js';
import type { Redirect } from '../redirect.js';

/** The circumstances of a command: who acts, why, under which conditions, as part of which change. */
export interface CommandContext {
  readonly commandId: string;
  /** Whether the caller may repeat the command under the same command id. */
  readonly repeatable?: boolean;
  /** Of the command's meaning, if the command is repeatable. The handler then looks for an earlier try. */
  readonly digest?: string;
  readonly actor: string;
  /** The person for whom the actor, such as another service, acts. */
  readonly onBehalfOf?: string;
  readonly reason?: string;
  /** The change that the command is part of: the command's own id, unless the caller names another change. */
  readonly correlationId: string;
  /** Id of the cause of the command's events, such as the event that a policy reacted to. Default: the command id. */
  readonly causationId?: string;
  /** A fresh id for the resource that this command may create. */
  readonly newResourceId?: string;
  readonly traceParent?: string;
  /** `If-Match`: the revisions that the caller accepts; `any` means that the resource must be live. */
  readonly ifMatch?: 'any' | readonly Revision[];
  /** `If-None-Match`: the revisions that the caller refuses; `any` means that no live resource may be there. */
  readonly ifNoneMatch?: 'any' | readonly Revision[];
}

/** The result of a command. */
export interface CommandResult {
  readonly id: string;
  /** Revision of the stream's last event after the command. */
  readonly revision: Revision;
  /** Position of that event. Tables that have reached this position show the command's effect. */
  readonly position: bigint;
  /** Whether the command created the stream. */
  readonly created: boolean;
  /** Whether the command wrote nothing. */
  readonly unchanged: boolean;
  /** Id of the change that the stream's last event belongs to. */
  readonly change: string;
  /** Whether the answer was found in the log: an earlier try of the same command wrote the events. */
  readonly repeated?: true;
  /** Authors whose place in the command was taken by others; undefined if there are none, or if `repeated`. */
  readonly redirected?: readonly Redirect[];
}

export function metadataOf(context: CommandContext): EventMetadata {
  const { commandId, digest, actor, onBehalfOf, reason, correlationId, causationId, traceParent } = context;
  return {
    commandId,
    ...(digest && { digest }),
    actor,
    ...(onBehalfOf && { onBehalfOf }),
    ...(reason && { reason }),
    correlationId,
    causationId: causationId ?? commandId,
    ...(traceParent && { traceParent }),
    schemaVersion: 1,
  };
}
