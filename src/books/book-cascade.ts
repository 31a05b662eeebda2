import type { BooksOfRemoved } from '../authors/author.events.js';
import type { Happened } from '../changes/reversal.js';
import { evolveBook, removeBook, unknownBook, unlinkAuthor, withinLimits } from './book.js';
import type { BookEvent } from './book.events.js';
import { roleSet } from './roles.js';

type History = readonly Happened<BookEvent>[];

/**
 * What the removal of an author does to a book. A link that came back by a restore of the book after the removal waits for
 * the author instead.
 * @param removal.at position of the removal.
 */
export function leaveRemovedAuthor(
  history: History,
  removal: { readonly authorId: string; readonly at: bigint; readonly books: BooksOfRemoved },
): BookEvent[] {
  const { authorId, at, books } = removal;
  const book = history.reduce(evolveBook, unknownBook);
  if (book.status !== 'live' || !book.links.some((link) => link.authorId === authorId)) return [];
  const linking = history.findLast((event) => bringsIn(event, authorId));
  if (linking?.type === 'BookRestored' && linking.position > at) return [];
  const removes = books === 'remove-all' || (books === 'remove-sole-authored' && book.links.length === 1);
  return removes ? removeBook(book) : unlinkAuthor(book, { authorId });
}

/**
 * What the merge of an author does to a book: the last survivor takes over the link. If the survivor is on the book
 * already, the two links become one: in the roles of both, at the lower position, with the survivor's own credit.
 * @param merge.name of the merged author: becomes the credit where none was recorded, because that is what the book says.
 * @param merge.into id of the last survivor.
 */
export function joinSurvivor(
  history: History,
  merge: { readonly authorId: string; readonly name: string; readonly into: string },
): BookEvent[] {
  const { authorId: from, name, into } = merge;
  const book = history.reduce(evolveBook, unknownBook);
  if (book.status !== 'live' || from === into) return [];
  const link = book.links.find(({ authorId }) => authorId === from);
  if (!link) return [];
  const own = book.links.find(({ authorId }) => authorId === into);
  const position = book.links.findIndex(({ authorId }) => authorId === from || authorId === into) + 1;
  const joined = {
    from,
    authorId: into,
    position,
    roles: own ? roleSet([...own.roles, ...link.roles]) : link.roles,
    creditedAs: own ? own.creditedAs : (link.creditedAs ?? name),
  };
  return withinLimits(book, [{ type: 'BookRelinked', data: joined }]);
}

/** Whether an event brings the author into the book's list. */
export function bringsIn(event: BookEvent, authorId: string): boolean {
  switch (event.type) {
    case 'BookLinked':
    case 'BookRelinked':
      return event.data.authorId === authorId;
    case 'BookRestored':
      return event.data.authors.some((link) => link.authorId === authorId);
    default:
      return false;
  }
}
