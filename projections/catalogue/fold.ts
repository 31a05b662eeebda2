import type { AuthorEvent } from '../../src/authors/author.events.js';
import type { BookEvent, Link } from '../../src/books/book.events.js';
import type { RecordedEvent } from '../../src/event-store/event-store.js';
import { idOf } from '../../src/event-store/event-store.js';
import type { AuthorRow, BookRow, LinkRow, Standing } from './rows.js';

/** An event that doesn't fit what came before it: the log or this fold is broken. */
export class Inapplicable extends Error {
  constructor(readonly event: RecordedEvent) {
    super(`${event.type} at position ${event.position} can't be applied to ${event.stream}`);
  }
}

/** An author's row after one more event of its stream. Pure. */
export function foldAuthor(before: Standing<AuthorRow>, event: RecordedEvent): Standing<AuthorRow> {
  const { type, data } = event as unknown as AuthorEvent;
  const id = idOf(event.stream);
  const { revision, recordedAt: updatedAt } = event;
  if (type === 'AuthorAdded' && before === undefined)
    return { row: { id, name: data.name, revision, createdAt: updatedAt, updatedAt } };
  if (before && 'row' in before) {
    if (type === 'AuthorRenamed') return { row: { ...before.row, name: data.name, revision, updatedAt } };
    if (type === 'AuthorRemoved')
      return { removed: { id, createdAt: before.row.createdAt, removedAt: updatedAt } };
  }
  if (type === 'AuthorRestored' && before && 'removed' in before)
    return { row: { id, name: data.name, revision, createdAt: before.removed.createdAt, updatedAt } };
  throw new Inapplicable(event);
}

/** A book's row and links after one more event of its stream. Pure. */
export function foldBook(before: Standing<BookRow>, event: RecordedEvent): Standing<BookRow> {
  const change = event as unknown as BookEvent;
  const id = idOf(event.stream);
  const { revision, recordedAt: updatedAt } = event;
  const linkRow = ({ authorId, roles, creditedAs }: Link): LinkRow => ({
    authorId,
    roles,
    creditedAs,
    linkedAt: event.recordedAt,
    linkedBy: event.metadata.actor,
    eventId: event.id,
  });
  if (change.type === 'BookAdded' && before === undefined)
    return { row: { id, title: change.data.title, revision, createdAt: updatedAt, updatedAt, links: [] } };
  if (change.type === 'BookRestored' && before && 'removed' in before) {
    const { title, authors } = change.data;
    const { createdAt } = before.removed;
    return { row: { id, title, revision, createdAt, updatedAt, links: authors.map(linkRow) } };
  }
  if (!before || 'removed' in before) throw new Inapplicable(event);

  const row = { ...before.row, revision, updatedAt };
  const { links } = row;
  switch (change.type) {
    case 'BookRetitled':
      return { row: { ...row, title: change.data.title } };
    case 'BookLinked':
      return { row: { ...row, links: links.toSpliced(change.data.position - 1, 0, linkRow(change.data)) } };
    case 'BookLinkChanged': {
      const { authorId, roles, creditedAs } = change.data;
      const changed = (link: LinkRow): LinkRow => ({ ...link, roles, creditedAs, eventId: event.id });
      return {
        row: { ...row, links: links.map((link) => (link.authorId === authorId ? changed(link) : link)) },
      };
    }
    case 'AuthorsReordered': {
      const byAuthor = new Map(links.map((link) => [link.authorId, link]));
      return {
        row: { ...row, links: change.data.authorIds.flatMap((authorId) => byAuthor.get(authorId) ?? []) },
      };
    }
    case 'BookUnlinked':
      return { row: { ...row, links: links.filter((link) => link.authorId !== change.data.authorId) } };
    case 'BookRemoved':
      return { removed: { id, createdAt: row.createdAt, removedAt: updatedAt } };
    default:
      throw new Inapplicable(event);
  }
}
