import type { CommandContext } from '../commands/command-context.js';
import { OperatorError } from '../errors.js';
import { MAX_ACTOR_LENGTH, MAX_REASON_LENGTH } from '../http/request-context.js';
import { newId } from '../ids.js';
import { normaliseText } from '../text.js';

/** Who runs a command, and why, for the events that the command writes. */
export interface ActorOptions {
  readonly actor: string;
  readonly reason?: string;
}

/** @throws OperatorError if no request could say the same. */
export function actingAs({ actor, reason }: ActorOptions): ActorOptions {
  return {
    actor: plain('--actor', actor),
    ...(reason !== undefined && { reason: plain('--reason', reason, MAX_REASON_LENGTH) }),
  };
}

/** The context of one act, which is a change of its own. */
export function contextOf(acting: ActorOptions): CommandContext {
  const id = newId();
  return { ...acting, commandId: id, correlationId: id };
}

/** @throws OperatorError if an event can't hold the text. */
export function plain(option: string, value: string, limit = MAX_ACTOR_LENGTH): string {
  const result = normaliseText(value, limit);
  if ('problem' in result) throw new OperatorError(`${option} ${result.problem.detail}`);
  return result.text;
}
