import type { FastifyRequest } from 'fastify';
import type { Position } from '../event-store/event-store.js';
import type { PositionTokens } from '../event-store/position-token.js';
import { invalidRequest } from './problem.js';

/**
 * The position that an answer must show, from the header `Min-Position`; undefined if the request has no such header.
 * @throws Problem 400
 */
export function minPositionOf(
  { headers }: Pick<FastifyRequest, 'headers'>,
  tokens: PositionTokens,
): Position | undefined {
  const token = headers['min-position'];
  if (token === undefined) return undefined;
  const position = typeof token === 'string' ? tokens.parse(token) : undefined;
  if (position !== undefined) return position;
  const detail = 'must be the `position` of an answer from this log';
  throw invalidRequest([{ pointer: 'header/Min-Position', rule: 'position', detail }]);
}
