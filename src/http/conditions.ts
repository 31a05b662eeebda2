import type { FastifyRequest } from 'fastify';
import { opaque, parseEntityTags, revisionIn, type EntityTags } from './entity-tags.js';
import { invalidRequest, Problem } from './problem.js';

/**
 * The entity tags of a condition; undefined if the request has no such condition.
 * @throws Problem 400
 */
export function readTags(
  { headers }: Pick<FastifyRequest, 'headers'>,
  name: 'If-Match' | 'If-None-Match',
): EntityTags | undefined {
  const value = name === 'If-Match' ? headers['if-match'] : headers['if-none-match'];
  if (value === undefined) return undefined;
  const tags = parseEntityTags(value);
  if (tags) return tags;
  const detail = 'must be * or a list of entity tags such as "3"';
  throw invalidRequest([{ pointer: `header/${name}`, rule: 'entity-tag', detail }]);
}

/** Tags as revisions. `If-Match` compares strongly, `If-None-Match` weakly. Tags of another form match nothing. */
export function readRevisions(
  request: Pick<FastifyRequest, 'headers'>,
  name: 'If-Match' | 'If-None-Match',
): 'any' | bigint[] | undefined {
  const tags = readTags(request, name);
  if (tags === undefined || tags === 'any') return tags;
  return tags.map((tag) => (name === 'If-Match' ? tag : opaque(tag))).flatMap((tag) => revisionIn(tag) ?? []);
}

/**
 * Whether a client that reads has the representation already, so that the answer is 304 (RFC 9110 §13.2.2).
 * @param tag of the representation.
 * @throws Problem 412 if the request has an `If-Match` without the tag.
 */
export function isKnown(request: Pick<FastifyRequest, 'headers'>, tag: string): boolean {
  const wanted = readTags(request, 'If-Match');
  if (wanted && wanted !== 'any' && !wanted.includes(tag))
    throw new Problem(412, 'revision-mismatch', `The entity tag is ${tag}.`, { headers: { etag: tag } });
  const known = readTags(request, 'If-None-Match');
  return known === 'any' || known?.some((each) => opaque(each) === tag) === true;
}
