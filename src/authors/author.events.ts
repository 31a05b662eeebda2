import { isStorableText, type UnknownEvent } from '../stored-data.js';

/** The events of an author's stream, `author-<uuid>`. Names and shapes are the wire format: they never change. */
export type AuthorEvent =
  | { readonly type: 'AuthorAdded'; readonly data: { readonly name: string } }
  | { readonly type: 'AuthorRenamed'; readonly data: { readonly name: string } }
  | { readonly type: 'AuthorRemoved'; readonly data: Record<string, never> }
  /** Carries the name that the author had at removal, so the author keeps that name. */
  | { readonly type: 'AuthorRestored'; readonly data: { readonly name: string } };

export const AUTHOR = 'author';
export const authorStream = (id: string): string => `${AUTHOR}-${id}`;

/** Why an event can't be one of an author's stream; undefined if the event can be one. */
export function flawOfAuthorEvent({ type, data }: UnknownEvent): string | undefined {
  const { name } = data as { name?: unknown };
  switch (type as AuthorEvent['type']) {
    case 'AuthorAdded':
    case 'AuthorRenamed':
    case 'AuthorRestored':
      return isStorableText(name) ? undefined : 'its name is not text that a table can hold';
    case 'AuthorRemoved':
      return undefined;
    default:
      return 'this version does not know its type';
  }
}
