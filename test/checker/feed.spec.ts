import { compareCallers } from './check.js';
import { Feed, type FeedEvent } from './feed.js';

const A = 'author-00000000-0000-7000-8000-a00000000001';
const B = 'author-00000000-0000-7000-8000-a00000000002';
const BOOK = 'book-00000000-0000-7000-8000-b00000000001';
const id = (stream: string) => stream.slice(stream.indexOf('-') + 1);

type Given = Partial<FeedEvent> & Pick<FeedEvent, 'stream' | 'type'>;
/** A feed of these events. Each is a command of its own, unless it says otherwise. */
function feedOf(...given: Given[]): Feed {
  const feed = new Feed();
  const revisions = new Map<string, number>();
  given.forEach((event, n) => {
    const revision = (revisions.get(event.stream) ?? -1) + 1;
    revisions.set(event.stream, revision);
    const own = `command ${n}`;
    feed.take({
      position: `${n}`,
      revision: `${revision}`,
      id: `event ${n}`,
      data: {},
      recordedAt: '2026-01-01T00:00:00.000Z',
      actor: 'somebody',
      commandId: own,
      correlationId: own,
      causationId: event.commandId ?? own,
      ...event,
    });
  });
  feed.checkEnd();
  return feed;
}
const wrong = (...given: Given[]) => feedOf(...given).wrong;
const added = (stream: string): Given => ({ stream, type: 'AuthorAdded', data: { name: stream } });
const link = (author: string, position = 1, more = {}) => ({
  authorId: id(author),
  position,
  roles: ['author'],
  creditedAs: null,
  ...more,
});
const book: Given = { stream: BOOK, type: 'BookAdded', data: { title: 'Book' } };
const linked = (author: string, position = 1, more = {}): Given => ({
  stream: BOOK,
  type: 'BookLinked',
  data: link(author, position, more),
});
/** An effect of the event with this number. */
const effect = (n: number, more = {}) => ({
  correlationId: `command ${n}`,
  causationId: `event ${n}`,
  commandId: `effect of ${n}`,
  ...more,
});
const renamed = (name: string, more = {}): Given => ({
  stream: A,
  type: 'AuthorRenamed',
  data: { name },
  ...more,
});
const reverted = (change: string): Given => ({
  stream: `change-${change}`,
  type: 'ChangeReverted',
  data: { change },
});

const merged: Given[] = [
  added(A),
  added(B),
  book,
  linked(A),
  linked(B, 2, { roles: ['editor'] }),
  { stream: A, type: 'AuthorMerged', data: { into: id(B) } },
];
const relinked = (more = {}): Given => ({
  stream: BOOK,
  type: 'BookRelinked',
  data: { from: id(A), ...link(B, 1, { roles: ['author', 'editor'], ...more }) },
  ...effect(5),
});

test.each<[string, Given[]]>([
  ['a merge', [...merged, relinked()]],
  [
    'a removal with its books',
    [
      added(A),
      book,
      linked(A),
      { stream: A, type: 'AuthorRemoved', data: { books: 'remove-all' } },
      { stream: BOOK, type: 'BookRemoved', ...effect(3) },
    ],
  ],
  [
    'a revert',
    [added(A), renamed('new'), reverted('command 1'), renamed(A, effect(2, { reverts: 'command 1' }))],
  ],
  [
    'a revert that is reverted',
    [
      added(A),
      renamed('new'),
      reverted('command 1'),
      renamed(A, effect(2, { reverts: 'command 1' })),
      reverted('command 2'),
      renamed('new', effect(4, { reverts: 'command 2' })),
    ],
  ],
  [
    'a removal comes back, whatever others did to the book meanwhile',
    [
      added(A),
      book,
      { stream: BOOK, type: 'BookRemoved' },
      reverted('command 2'),
      {
        stream: BOOK,
        type: 'BookRestored',
        data: { title: 'Book', authors: [] },
        ...effect(3, { reverts: 'command 2' }),
      },
      linked(A),
      reverted('command 3'),
      { stream: BOOK, type: 'BookRemoved', ...effect(6, { reverts: 'command 3' }) },
    ],
  ],
])('nothing is wrong with %s', (_, events) => {
  expect(wrong(...events)).toEqual([]);
});

test.each<[string, Given[], RegExp]>([
  ['a revision is missing', [added(A), renamed('new', { revision: '2' })], /revision 1 was expected/],
  ['an id stands there twice', [added(A), renamed('new', { id: 'event 0' })], /twice/],
  ['a book still links a merged author', merged, /who is merged/],
  ['roles are lost', [...merged, relinked({ roles: ['author'] })], /roles/],
  ['a merge invents a credit', [...merged, relinked({ creditedAs: 'Me' })], /credit/],
  ['a merge moves an author down', [...merged, relinked({ position: 2 })], /gap|position/],
  [
    'a removal takes a book that it should only unlink',
    [
      added(A),
      book,
      linked(A),
      { stream: A, type: 'AuthorRemoved', data: { books: 'unlink' } },
      { stream: BOOK, type: 'BookRemoved', ...effect(3) },
    ],
    /does not ask/,
  ],
  [
    'a revert takes back somebody’s later name',
    [
      added(A),
      renamed('new'),
      renamed('later'),
      reverted('command 1'),
      renamed(A, effect(3, { reverts: 'command 1' })),
    ],
    /undoes what AuthorRenamed/,
  ],
  [
    'a revert removes a book that somebody else retitled',
    [
      book,
      { stream: BOOK, type: 'BookRetitled', data: { title: 'Mine' } },
      reverted('command 0'),
      { stream: BOOK, type: 'BookRemoved', ...effect(2, { reverts: 'command 0' }) },
    ],
    /somebody set title/,
  ],
  ['a revert does nothing', [added(A), renamed('new'), reverted('command 1')], /is still what/],
  [
    'a restored book comes back without a link',
    [
      added(A),
      book,
      linked(A),
      { stream: BOOK, type: 'BookRemoved' },
      { stream: BOOK, type: 'BookRestored', data: { title: 'Book', authors: [] } },
    ],
    /links were lost/,
  ],
  [
    'authors were merged in a circle',
    [
      added(A),
      added(B),
      { stream: A, type: 'AuthorMerged', data: { into: id(B) } },
      { stream: B, type: 'AuthorMerged', data: { into: id(A) } },
    ],
    /circle/,
  ],
])('it is found if %s', (_, events, expected) => {
  expect(wrong(...events).join('\n')).toMatch(expected);
});

test('it is found if an acknowledged command is not in the log, or another command is', () => {
  const feed = feedOf(added(A), added(B), renamed('new'));
  const found = compareCallers(
    {
      acknowledged: [
        { stream: A, revision: '1', key: 'known', what: 'rename' },
        { stream: B, revision: '1', key: 'lost', what: 'rename' },
      ],
      changes: new Map([
        ['command 0', true],
        ['command 2', false],
      ]),
    },
    feed,
  );
  expect(found).toEqual([
    expect.stringContaining('rename of author-00000000-0000-7000-8000-a00000000002 was acknowledged'),
    expect.stringMatching(/^1 AuthorAdded .* never asked for$/),
    expect.stringMatching(/^2 AuthorRenamed .* refused$/),
  ]);
});
