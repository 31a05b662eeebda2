/** The events of an author's stream, `author-<uuid>`. Names and shapes are the wire format: they never change. */
export type AuthorEvent =
  | { readonly type: 'AuthorAdded'; readonly data: { readonly name: string } }
  | { readonly type: 'AuthorRenamed'; readonly data: { readonly name: string } }
  | { readonly type: 'AuthorRemoved'; readonly data: Record<string, never> }
  /** Carries the name the author had when removed: the author comes back as it was. */
  | { readonly type: 'AuthorRestored'; readonly data: { readonly name: string } };

export const AUTHOR = 'author';
export const authorStream = (id: string): string => `${AUTHOR}-${id}`;
