/** The events of an author's stream, `author-<uuid>`. Names and shapes are the wire format: they never change. */
export type AuthorEvent =
  | { readonly type: 'AuthorAdded'; readonly data: { readonly name: string } }
  | { readonly type: 'AuthorRenamed'; readonly data: { readonly name: string } }
  | { readonly type: 'AuthorRemoved'; readonly data: Record<string, never> }
  /** Carries the name that the author had at removal, so the author keeps that name. */
  | { readonly type: 'AuthorRestored'; readonly data: { readonly name: string } };

export const AUTHOR = 'author';
export const authorStream = (id: string): string => `${AUTHOR}-${id}`;
