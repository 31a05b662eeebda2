/** The tags of a header such as `If-Match`, each as written; `any` for `*`. */
export type EntityTags = 'any' | readonly string[];

const TOKEN = /((?:W\/)?"[\x21\x23-\x7e\x80-\xff]*")|,|[ \t]+|[^]/g;

/**
 * Parses a list of entity tags (RFC 9110 §8.8.3). A tag may contain commas, and elements of the list may be empty.
 * @returns undefined if the text is neither such a list nor `*`.
 */
export function parseEntityTags(text: string): EntityTags | undefined {
  if (text.trim() === '*') return 'any';
  const tags: string[] = [];
  let separated = true;
  for (const [token, tag] of text.matchAll(TOKEN)) {
    if (token === ',') separated = true;
    else if (tag !== undefined && separated) {
      tags.push(tag);
      separated = false;
    } else if (token.trim() !== '') return undefined;
  }
  return tags.length > 0 ? tags : undefined;
}

/** The opaque part of a tag: all that a weak comparison looks at. */
export const opaque = (tag: string): string => tag.replace(/^W\//, '');

/**
 * The tag of an answer about a resource: its revision, which is what commands compare, and whatever else the answer
 * shows.
 */
export const entityTag = (revision: string, ...shown: readonly string[]): string =>
  `"${[revision, ...shown].join('-')}"`;

const REVISION_TAG = /^"(0|[1-9]\d{0,18})(-[\w-]+)?"$/;

/** The revision in a tag of {@link entityTag}; undefined for other tags. */
export function revisionIn(tag: string): bigint | undefined {
  const revision = REVISION_TAG.exec(tag)?.[1];
  return revision === undefined ? undefined : BigInt(revision);
}
