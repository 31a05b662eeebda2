import { AUTHOR, flawOfAuthorEvent, type AuthorEvent } from '../authors/author.events.js';
import { BOOK, flawOfBookEvent, type BookEvent } from '../books/book.events.js';
import { CHANGE, flawOfChangeEvent, type ChangeEvent } from '../changes/change.events.js';
import { categoryOf, idOf, type RecordedEvent } from '../event-store/event-store.js';
import { isUuid } from '../stored-data.js';
import type { Gone, Taken, Task } from './policy-tables.js';

/** The events that policies react to, whoever is gone. */
export const TRIGGERS: readonly string[] = [
  'AuthorRemoved',
  'AuthorRestored',
  'AuthorMerged',
  'ChangeReverted',
] satisfies (AuthorEvent | ChangeEvent)['type'][];

/** The authors whom an event links to a book. A restored book's link to a removed author waits for the author. */
function linkedBy(event: RecordedEvent): {
  readonly removed: readonly string[];
  readonly merged: readonly string[];
} {
  if (categoryOf(event.stream) !== BOOK || !isSound(event, flawOfBookEvent))
    return { removed: [], merged: [] };
  const { type, data } = event as unknown as BookEvent;
  if (type === 'BookLinked' || type === 'BookRelinked')
    return { removed: [data.authorId], merged: [data.authorId] };
  if (type === 'BookRestored') return { removed: [], merged: data.authors.map(({ authorId }) => authorId) };
  return { removed: [], merged: [] };
}

/** The authors whom a batch links, and who may be gone. */
export const linkedIn = (events: readonly RecordedEvent[]): string[] => [
  ...new Set(events.flatMap((event) => linkedBy(event).merged)),
];

/**
 * What a batch of the log means for policies.
 * @param before those of {@link linkedIn} who are gone before the batch.
 */
export function takeIn(events: readonly RecordedEvent[], before: readonly Gone[]): Taken {
  const tasks: Task[] = [];
  const gone = new Map(before.map((one) => [one.authorId, one]));
  const changed = new Set<string>();
  const settle = (authorId: string, now: Gone | undefined) => {
    changed.add(authorId);
    if (now) gone.set(authorId, now);
    else gone.delete(authorId);
  };
  for (const event of events) {
    const { position, stream } = event;
    const change = event.metadata.correlationId;
    const task = (what: string): Task => ({ cause: position, position, stream: '', what, change });
    const category = categoryOf(stream);
    if (category === AUTHOR && isSound(event, flawOfAuthorEvent)) {
      const { type, data } = event as unknown as AuthorEvent;
      const authorId = idOf(stream);
      if (type === 'AuthorMerged' || (type === 'AuthorRemoved' && data.books !== undefined)) {
        tasks.push(task(type));
        settle(authorId, { authorId, cause: position, merged: type === 'AuthorMerged', change });
      } else if (type === 'AuthorRestored' || type === 'AuthorRemoved') settle(authorId, undefined);
    } else if (category === CHANGE && isSound(event, flawOfChangeEvent)) tasks.push(task(event.type));
    else {
      const linked = linkedBy(event);
      for (const authorId of linked.merged) {
        const by = gone.get(authorId);
        if (by && (by.merged || linked.removed.includes(authorId)))
          tasks.push({
            cause: by.cause,
            position,
            stream,
            what: by.merged ? 'AuthorMerged' : 'AuthorRemoved',
            change: by.change,
          });
      }
    }
  }
  return {
    tasks,
    gone: [...changed].flatMap((authorId) => gone.get(authorId) ?? []),
    back: [...changed].filter((authorId) => !gone.has(authorId)),
  };
}

/** Whether Colophon can have written the event, in a stream of one of its authors, books or changes. */
const isSound = (event: RecordedEvent, flawOf: (event: RecordedEvent) => string | undefined): boolean =>
  event.unreadable === undefined && isUuid(idOf(event.stream)) && flawOf(event) === undefined;
