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
