import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import type { CommandContext } from '../commands/command-context.js';
import { activeTraceParent, readTraceParent } from '../event-store/spans.js';
import { commandIdOf, newId, resourceIdOf } from '../ids.js';
import { normaliseText } from '../text.js';
import { ANONYMOUS } from './access.js';
import { readRevisions } from './conditions.js';
import { invalidRequest, Problem } from './problem.js';

/** A command's context from the HTTP headers, with an id for the resource that the command may create. */
export interface HttpCommandContext extends CommandContext {
  /** Derived from actor and `Idempotency-Key`; a new id if the request has no key. */
  readonly newResourceId: string;
}

/** Largest numbers of characters of the headers, as they are encoded. */
export const MAX_ACTOR_LENGTH = 255;
export const MAX_REASON_LENGTH = 3_000;

/** Reads the headers `X-Actor`, `X-On-Behalf-Of`, `Reason`, `Idempotency-Key`, `If-Match`, `If-None-Match`, `X-Correlation-Id` and `traceparent`. */
export const Context = createParamDecorator((_: unknown, host: ExecutionContext) =>
  readContext(host.switchToHttp().getRequest<FastifyRequest>()),
);

export function readContext(request: FastifyRequest): HttpCommandContext {
  const actor = actorOf(request);
  const onBehalfOf = header(request, 'X-On-Behalf-Of', MAX_ACTOR_LENGTH);
  const reason = header(request, 'Reason', MAX_REASON_LENGTH);
  const key = header(request, 'Idempotency-Key', 255, false);
  // An empty key is an error: the caller expects idempotency.
  if (key === undefined && request.headers['idempotency-key'] !== undefined)
    throw invalidRequest([{ pointer: 'header/Idempotency-Key', rule: 'blank', detail: 'is empty' }]);
  const commandId = key === undefined ? newId() : commandIdOf(actor, key);
  const correlationId = header(request, 'X-Correlation-Id', 255, false) ?? commandId;
  request.changeId = correlationId;
  const { traceparent } = request.headers;
  const traceParent = readTraceParent(traceparent) ? String(traceparent) : activeTraceParent();
  const ifMatch = readRevisions(request, 'If-Match');
  const ifNoneMatch = readRevisions(request, 'If-None-Match');
  return {
    commandId,
    newResourceId: key === undefined ? newId() : resourceIdOf(actor, key),
    repeatable: key !== undefined,
    actor,
    ...(onBehalfOf !== undefined && { onBehalfOf }),
    ...(reason !== undefined && { reason }),
    correlationId,
    ...(traceParent && { traceParent }),
    ...(ifMatch && { ifMatch }),
    ...(ifNoneMatch && { ifNoneMatch }),
  };
}

/** @throws Problem 403 if the header says another actor than the token does. */
function actorOf(request: FastifyRequest): string {
  const said = header(request, 'X-Actor', MAX_ACTOR_LENGTH);
  const { subject, verified } = request.caller;
  if (!verified) return said ?? ANONYMOUS;
  if (said === undefined || said === subject) return subject;
  throw new Problem(403, 'foreign-actor', 'The actor is the subject of the token; leave out X-Actor.');
}

/**
 * A header's text. Names and reasons are percent-encoded UTF-8, since headers are ASCII.
 * An empty header counts as absent.
 */
function header(request: FastifyRequest, name: string, limit: number, encoded = true): string | undefined {
  const raw = request.headers[name.toLowerCase()];
  if (raw === undefined || raw === '') return undefined;
  const fail = (rule: string, detail: string) =>
    invalidRequest([{ pointer: `header/${name}`, rule, detail }]);
  if (Array.isArray(raw)) throw fail('repeated', 'is given more than once');
  if (!/^[\x20-\x7e]*$/.test(raw))
    throw fail('ascii', 'must be ASCII; encode other characters as %XX of their UTF-8');
  if (raw.length > limit) throw fail('too-long', `is longer than ${limit} characters`);
  if (!encoded) return raw;
  let decoded: string;
  try {
    decoded = decodeURIComponent(raw);
  } catch {
    throw fail('percent-encoding', 'is not percent-encoded UTF-8');
  }
  const result = normaliseText(decoded);
  if ('problem' in result) throw fail(result.problem.rule, result.problem.detail);
  return result.text;
}
