import { PositionTokens } from '../event-store/position-token.js';
import { Schemas } from '../http/schemas.js';
import { isKeyOrNone } from '../stored-data.js';
import { lineParser, MalformedLine } from './import-line.js';

const parseLine = lineParser(new Schemas(1_000, new PositionTokens('')));
const parse = (line: object) => parseLine(JSON.stringify(line));
const author = { type: 'author', key: 'a', name: 'A' };
const book = { type: 'book', key: 'b', title: 'B' };
const link = (fields: object) => {
  const line = parse({ ...book, authors: [{ author: 'a', ...fields }] });
  return line.type === 'book' ? line.authors?.[0] : undefined;
};
const refused = (line: object) => {
  try {
    return parse(line);
  } catch (error) {
    if (error instanceof MalformedLine) return `${error.rule} ${error.message}`;
    throw error;
  }
};

test('a line is an author or a book', () => {
  expect(parse(author)).toEqual(author);
  expect(parse(book)).toEqual({ ...book, title: { title: 'B' } });
  expect(
    parse({ ...book, authors: [{ author: 'a', roles: ['editor', 'author'], creditedAs: 'X' }] }),
  ).toEqual({
    ...book,
    title: { title: 'B' },
    authors: [{ author: 'a', roles: ['author', 'editor'], creditedAs: 'X' }],
  });
});

test('a title has its marks of a part that is not filed', () =>
  expect(parse({ ...book, title: '\u0098Das \u009cParfum\t' })).toMatchObject({
    title: { title: 'Das Parfum', filedAs: 'Parfum' },
  }));

test.each([[undefined], [null]])('authors that are %s are not said', (authors) =>
  expect((parse({ ...book, authors }) as { authors?: unknown }).authors ?? undefined).toBeUndefined(),
);

test('an empty list of authors says that there is none', () =>
  expect(parse({ ...book, authors: [] })).toMatchObject({ authors: [] }));

test.each([[undefined], [null], [[]]])('roles that are %j are not said', (roles) =>
  expect(link({ roles })?.roles ?? []).toEqual([]),
);

test.each([[undefined], [null], [''], [' \t\n'], ['\u200b'], ['\u001f']])(
  'a credit that is %j is not said',
  (creditedAs) => expect(link({ creditedAs })?.creditedAs ?? null).toBeNull(),
);

test.each([
  ['illustrator', 'illustrator'],
  ['Illustrator', 'illustrator'],
  ['ill', 'illustrator'],
  ['A12', 'illustrator'],
  [' trl ', 'translator'],
  ['z99', 'contributor'],
  ['aui', 'introduction'],
  ['prt', 'contributor'],
  ['B13', 'contributor'],
])('the role %j is %s', (role, name) => expect(link({ roles: [role] })?.roles).toEqual([name]));

test('every key that a line may have can be read back from the log', () => {
  const key = '😀'.repeat(255);
  expect(isKeyOrNone(parse({ ...author, key }).key)).toBe(true);
  expect(isKeyOrNone(`${key}k`)).toBe(false);
});

test('numbers are the text that they are written as', () => {
  expect(parse({ ...author, key: 3, name: 50 })).toEqual({ ...author, key: '3', name: '50' });
  expect(parse({ ...book, key: 0, title: 1984, authors: [{ author: 3 }] })).toMatchObject({
    key: '0',
    title: { title: '1984' },
    authors: [{ author: '3' }],
  });
  expect(link({ creditedAs: 1984 })?.creditedAs).toBe('1984');
  expect(parseLine('{"type":"author","key":3.0,"name":"A"}').key).toBe('3');
});

test.each([
  [{ ...author, key: 2 ** 53 }, 'inexact-number /key must be text'],
  [{ ...author, key: 1.5 }, 'inexact-number /key must be text'],
  [{ ...author, key: true }, 'type /key'],
  [{ ...author, key: null }, 'type /key'],
  [{ ...author, key: '' }, 'too-small /key'],
  [{ ...author, key: 'k'.repeat(256) }, 'too-large /key'],
  [{ ...author, key: 'a\u0000' }, 'invalid /key'],
  [{ type: 'author', key: 'a' }, 'required /name'],
  [{ ...author, name: null }, 'type /name'],
  [{ ...author, name: 'a\u0007' }, 'control-character /name'],
  [{ ...author, born: 1809 }, 'unknown-field /born'],
  [{ ...book, title: '' }, 'blank /title'],
  [{ ...book, authors: [{ author: null }] }, 'type /authors/0/author'],
  [{ ...book, authors: [{ author: 'a', roles: ['printer'] }] }, 'one-of /authors/0/roles/0'],
  [{ ...book, authors: [{ author: 'a', roles: 'author' }] }, 'type /authors/0/roles'],
])('%j is refused', (line, reason) => expect(refused(line)).toContain(reason));
