import { flawOfAuthorEvent, type AuthorEvent } from '../../src/authors/author.events.js';
import { flawOfBookEvent, type BookEvent, type Link } from '../../src/books/book.events.js';
import type { ProjectableEvent } from '../../src/event-store/event-store.js';
import { idOf } from '../../src/event-store/event-store.js';
import { isUuid } from '../../src/stored-data.js';
import type { AuthorRow, BookRow, Known, LinkRow, Standing } from './rows.js';

/** The name of the projection. */
export const CATALOGUE = 'catalogue';

/** An event doesn't fit the earlier events, or its data doesn't match its type. The log or this fold is wrong. */
export class Inapplicable extends Error {
  constructor(event: ProjectableEvent, reason = 'it does not fit the events before it') {
    super(`${event.type} can't be applied to ${event.stream}: ${reason}`);
  }
}

/** An author's row after one more event of the author's stream. Pure. */
export function foldAuthor(before: Standing<AuthorRow>, event: ProjectableEvent): Known<AuthorRow> {
  check(event, flawOfAuthorEvent);
  const { type, data } = event as unknown as AuthorEvent;
  const id = idOf(event.stream);
  const { revision, recordedAt: updatedAt } = event;
  if (type === 'AuthorAdded' && before === undefined) {
    const { name, key: sourceKey = null } = data;
    return { row: { id, name, sourceKey, revision, createdAt: updatedAt, updatedAt } };
  }
  if (before && 'row' in before) {
    if (type === 'AuthorRenamed') return { row: { ...before.row, name: data.name, revision, updatedAt } };
    if (type === 'AuthorRemoved')
      return { removed: { id, revision, createdAt: before.row.createdAt, removedAt: updatedAt } };
    if (type === 'AuthorMerged') {
      const { createdAt } = before.row;
      return { removed: { id, revision, createdAt, removedAt: updatedAt, into: data.into } };
    }
  }
  if (type === 'AuthorRestored' && before && 'removed' in before) {
    const { name, key: sourceKey = null } = data;
    return { row: { id, name, sourceKey, revision, createdAt: before.removed.createdAt, updatedAt } };
  }
  throw new Inapplicable(event, gapBefore(before, event));
}

/** A book's row and links after one more event of the book's stream. Pure. */
export function foldBook(before: Standing<BookRow>, event: ProjectableEvent): Known<BookRow> {
  check(event, flawOfBookEvent);
  const change = event as unknown as BookEvent;
  const id = idOf(event.stream);
  const { revision, recordedAt: updatedAt } = event;
  const linkRow = (link: Link): LinkRow => {
    const { authorId, roles, creditedAs } = link;
    return {
      authorId,
      roles,
      creditedAs,
      linkedAt: updatedAt,
      linkedBy: event.metadata.actor,
      eventId: event.id,
    };
  };
  if (change.type === 'BookAdded' && before === undefined) {
    const { title, filedAs = null, key: sourceKey = null } = change.data;
    return { row: { id, title, filedAs, sourceKey, revision, createdAt: updatedAt, updatedAt, links: [] } };
  }
  if (change.type === 'BookRestored' && before && 'removed' in before) {
    const { title, filedAs = null, key: sourceKey = null, authors } = change.data;
    const { createdAt } = before.removed;
    const links = authors.map(linkRow);
    return { row: { id, title, filedAs, sourceKey, revision, createdAt, updatedAt, links } };
  }
  if (!before || 'removed' in before) throw new Inapplicable(event, gapBefore(before, event));

  const row = { ...before.row, revision, updatedAt };
  const { links } = row;
  switch (change.type) {
    case 'BookRetitled':
      return { row: { ...row, title: change.data.title, filedAs: change.data.filedAs ?? null } };
    case 'BookLinked':
      if (links.some((link) => link.authorId === change.data.authorId))
        throw new Inapplicable(event, 'the author is already linked');
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
    case 'BookRelinked': {
      const { from, position, ...link } = change.data;
      if (!links.some(({ authorId }) => authorId === from))
        throw new Inapplicable(event, 'the author whose link changes is not linked');
      const others = links.filter(({ authorId }) => authorId !== from && authorId !== link.authorId);
      return { row: { ...row, links: others.toSpliced(position - 1, 0, linkRow(link)) } };
    }
    case 'BookRemoved':
      return { removed: { id, revision, createdAt: row.createdAt, removedAt: updatedAt } };
    default:
      throw new Inapplicable(event);
  }
}

/** The reason why an event fits nothing, if the tables have nothing of its stream and should. */
const gapBefore = (before: Standing<unknown>, { revision }: ProjectableEvent): string | undefined =>
  before === undefined && revision > 0n
    ? `the events before revision ${revision} were deleted or skipped`
    : undefined;

/** @throws Inapplicable for an event that no command of Colophon wrote into such a stream. */
function check(event: ProjectableEvent, flawOf: (event: ProjectableEvent) => string | undefined): void {
  const flaw = event.unreadable ?? (isUuid(idOf(event.stream)) ? flawOf(event) : NO_UUID);
  if (flaw !== undefined) throw new Inapplicable(event, flaw);
}

const NO_UUID = 'its stream is not named by a UUID';
