import type { AuthorEvent } from '../../src/authors/author.events.js';
import type { BookEvent, Link } from '../../src/books/book.events.js';
import type { ProjectableEvent } from '../../src/event-store/event-store.js';
import { idOf } from '../../src/event-store/event-store.js';
import type { AuthorRow, BookRow, Known, LinkRow, Standing } from './rows.js';

/** An event doesn't fit the earlier events, or its data doesn't match its type. The log or this fold is wrong. */
export class Inapplicable extends Error {
  constructor(event: ProjectableEvent, reason = 'it does not fit the events before it') {
    super(`${event.type} can't be applied to ${event.stream}: ${reason}`);
  }
}

/** An author's row after one more event of the author's stream. Pure. */
export function foldAuthor(before: Standing<AuthorRow>, event: ProjectableEvent): Known<AuthorRow> {
  const { type, data } = event as unknown as AuthorEvent;
  if ('name' in data) checkText(event, 'name', data.name);
  const id = idOf(event.stream);
  const { revision, recordedAt: updatedAt } = event;
  checkId(event, id);
  if (type === 'AuthorAdded' && before === undefined)
    return { row: { id, name: data.name, revision, createdAt: updatedAt, updatedAt } };
  if (before && 'row' in before) {
    if (type === 'AuthorRenamed') return { row: { ...before.row, name: data.name, revision, updatedAt } };
    if (type === 'AuthorRemoved')
      return { removed: { id, revision, createdAt: before.row.createdAt, removedAt: updatedAt } };
  }
  if (type === 'AuthorRestored' && before && 'removed' in before)
    return { row: { id, name: data.name, revision, createdAt: before.removed.createdAt, updatedAt } };
  throw new Inapplicable(event);
}

/** A book's row and links after one more event of the book's stream. Pure. */
export function foldBook(before: Standing<BookRow>, event: ProjectableEvent): Known<BookRow> {
  const change = event as unknown as BookEvent;
  const id = idOf(event.stream);
  const { revision, recordedAt: updatedAt } = event;
  const linkRow = (link: Link): LinkRow => {
    checkLink(event, link);
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
  if ('title' in change.data) checkText(event, 'title', change.data.title);
  checkId(event, id);
  if (change.type === 'BookAdded' && before === undefined)
    return { row: { id, title: change.data.title, revision, createdAt: updatedAt, updatedAt, links: [] } };
  if (change.type === 'BookRestored' && before && 'removed' in before) {
    const { title, authors } = change.data;
    const { createdAt } = before.removed;
    if (new Set(authors.map(({ authorId }) => authorId)).size < authors.length)
      throw new Inapplicable(event, 'an author is listed twice');
    return { row: { id, title, revision, createdAt, updatedAt, links: authors.map(linkRow) } };
  }
  if (!before || 'removed' in before) throw new Inapplicable(event);

  const row = { ...before.row, revision, updatedAt };
  const { links } = row;
  switch (change.type) {
    case 'BookRetitled':
      return { row: { ...row, title: change.data.title } };
    case 'BookLinked':
      if (links.some((link) => link.authorId === change.data.authorId))
        throw new Inapplicable(event, 'the author is already linked');
      return { row: { ...row, links: links.toSpliced(change.data.position - 1, 0, linkRow(change.data)) } };
    case 'BookLinkChanged': {
      checkLink(event, change.data);
      const { authorId, roles, creditedAs } = change.data;
      const changed = (link: LinkRow): LinkRow => ({ ...link, roles, creditedAs, eventId: event.id });
      return {
        row: { ...row, links: links.map((link) => (link.authorId === authorId ? changed(link) : link)) },
      };
    }
    case 'AuthorsReordered': {
      if (new Set(change.data.authorIds).size < change.data.authorIds.length)
        throw new Inapplicable(event, 'an author is listed twice');
      const byAuthor = new Map(links.map((link) => [link.authorId, link]));
      return {
        row: { ...row, links: change.data.authorIds.flatMap((authorId) => byAuthor.get(authorId) ?? []) },
      };
    }
    case 'BookUnlinked':
      return { row: { ...row, links: links.filter((link) => link.authorId !== change.data.authorId) } };
    case 'BookRemoved':
      return { removed: { id, revision, createdAt: row.createdAt, removedAt: updatedAt } };
    default:
      throw new Inapplicable(event);
  }
}

function checkText(event: ProjectableEvent, field: string, value: unknown): void {
  if (typeof value !== 'string') throw new Inapplicable(event, `its ${field} is no text`);
  if (value.includes('\0'))
    throw new Inapplicable(event, `its ${field} has a character that no table can hold`);
}

export const UUID = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/;
const WORD = /^[a-z]+$/;

function checkId(event: ProjectableEvent, id: string): void {
  if (!UUID.test(id)) throw new Inapplicable(event, 'its stream is not named by a UUID');
}

function checkLink(event: ProjectableEvent, { authorId, roles, creditedAs }: Link): void {
  if (typeof event.metadata.actor !== 'string') throw new Inapplicable(event, 'it has no actor');
  if (!UUID.test(authorId)) throw new Inapplicable(event, 'its authorId is no UUID');
  if (creditedAs !== null) checkText(event, 'creditedAs', creditedAs);
  if (
    !Array.isArray(roles) ||
    !(roles as readonly string[]).every((role) => WORD.test(role) && role !== 'null')
  )
    throw new Inapplicable(event, 'its roles are not a list of words');
}
