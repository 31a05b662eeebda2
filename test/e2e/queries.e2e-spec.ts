import { caughtUp, importLines } from '../support/catalogue.js';
import { createService, type TestService } from '../support/service.js';

let service: TestService;
let ids: Record<string, string>;
beforeAll(async () => {
  service = await createService();
  const author = (key: string, name: string) => ({ type: 'author', key, name });
  const book = (key: string, title: string, ...authors: object[]) => ({ type: 'book', key, title, authors });
  ids = await importLines(service, [
    author('garcia', 'García Márquez, Gabriel'),
    author('zola', 'Zola, Émile'),
    author('lem', 'Lem, Stanisław'),
    author('alone', 'Homer 100%_\\'),
    author('strauss', 'Strauß, Botho'),
    ...Array.from({ length: 25 }, (_, n) => author(`doe ${n}`, 'Doe, J.')),
    book('nana', 'Nana', { author: 'zola' }),
    book(
      'solaris',
      'Solaris',
      { author: 'lem' },
      { author: 'zola', roles: ['translator', 'foreword'], creditedAs: 'É. Z.' },
    ),
    book('cien', 'Cien años de soledad', { author: 'garcia' }),
    book('anon', 'Beowulf'),
    ...Array.from({ length: 12 }, (_, n) =>
      book(`vol ${n}`, `Volume ${'ABCDEFGHIJKL'[n]}`, { author: 'zola' }),
    ),
  ]);
});
afterAll(() => service.stop());

const get = (path: string, headers?: Record<string, string>) =>
  service.request('GET', path, headers ? { headers } : {});
const names = async (query: string) =>
  (await get(`/authors?limit=500&${query}`)).body.items.map((item: any) => item.name) as string[];
const titles = async (query: string) =>
  (await get(`/books?limit=500&${query}`)).body.items.map((item: any) => item.title) as string[];

/** Every item of a list, page after page. */
async function pages(path: string, limit: number): Promise<any[]> {
  const items = [];
  for (let after = ''; ;) {
    const { status, body } = await get(`${path}${path.includes('?') ? '&' : '?'}limit=${limit}${after}`);
    expect(status).toBe(200);
    expect(body.items.length).toBeLessThanOrEqual(limit);
    items.push(...body.items);
    if (body.next === null) return items;
    after = `&after=${encodeURIComponent(body.next)}`;
  }
}

test.each(['name', '-name', 'createdAt', '-createdAt'])(
  'pages of any size sorted by %s make up the whole list, each item once',
  async (sort) => {
    const whole = (await get(`/authors?limit=500&sort=${sort}`)).body.items;
    expect(whole).toHaveLength(30);
    for (const limit of [1, 7, 30, 31]) expect(await pages(`/authors?sort=${sort}`, limit)).toEqual(whole);
    const opposite = sort.startsWith('-') ? sort.slice(1) : `-${sort}`;
    expect((await get(`/authors?limit=500&sort=${opposite}`)).body.items).toEqual(whole.toReversed());
  },
);

test('lists are sorted without regard to case and accents', async () => {
  expect(await names('sort=-name')).toEqual([
    'Zola, Émile',
    'Strauß, Botho',
    'Lem, Stanisław',
    'Homer 100%_\\',
    'García Márquez, Gabriel',
    ...Array.from({ length: 25 }, () => 'Doe, J.'),
  ]);
});

test('a cursor belongs to the order it was made in', async () => {
  const { next } = (await get('/authors?limit=1')).body;
  expect((await get(`/authors?limit=1&sort=-name&after=${next}`)).status).toBe(400);
  expect((await get(`/books?limit=1&after=${next}`)).status).toBe(400);
});

test('authors are found by any part of the name, in any case, with or without accents', async () => {
  expect(await names('search=GARCIA')).toEqual(['García Márquez, Gabriel']);
  expect(await names('search=m%C3%A1rquez')).toEqual(['García Márquez, Gabriel']);
  expect(await names('search=ma%CC%81rquez')).toEqual(['García Márquez, Gabriel']);
  expect(await names('search=stanislaw')).toEqual(['Lem, Stanisław']);
  expect(await names('search=strauss')).toEqual(['Strauß, Botho']);
  expect(await names('search=STRAU%C3%9F')).toEqual(['Strauß, Botho']);
  expect(await names('search=z')).toEqual(['Zola, Émile']);
  expect(await names('search=emile')).toEqual(['Zola, Émile']);
  expect(await names('prefix=emile')).toEqual([]);
  expect(await names('prefix=ZO')).toEqual(['Zola, Émile']);
  expect(await names('search=nobody')).toEqual([]);
});

test('what SQL would read as a pattern is read as text', async () => {
  expect(await names('search=%25')).toEqual(['Homer 100%_\\']);
  expect(await names('search=_')).toEqual(['Homer 100%_\\']);
  expect(await names('search=%5C')).toEqual(['Homer 100%_\\']);
  expect(await names("search='")).toEqual([]);
});

test('authors are filtered by book, role and whether they have any', async () => {
  expect(await names(`book=${ids['solaris']}`)).toEqual(['Lem, Stanisław', 'Zola, Émile']);
  expect(await names(`book=${ids['solaris']}&role=translator`)).toEqual(['Zola, Émile']);
  expect(await names('role=translator')).toEqual(['Zola, Émile']);
  expect(await names('hasBooks=true')).toEqual(['García Márquez, Gabriel', 'Lem, Stanisław', 'Zola, Émile']);
  expect(await names('hasBooks=false&prefix=h')).toEqual(['Homer 100%_\\']);
});

test('books are filtered by author and role', async () => {
  expect(await titles(`author=${ids['zola']}&search=na`)).toEqual(['Nana']);
  expect(await titles(`author=${ids['zola']}&role=foreword`)).toEqual(['Solaris']);
  expect(await titles(`author=${ids['lem']}&role=foreword`)).toEqual([]);
  expect(await titles('role=translator')).toEqual(['Solaris']);
  expect(await titles('search=anos')).toEqual(['Cien años de soledad']);
});

test('a single resource comes with its revision as ETag, and with what is included', async () => {
  const alone = await get(`/books/${ids['solaris']}`);
  expect(alone.headers.get('etag')).toBe(`"${alone.body.revision}"`);
  const found = await get(`/books/${ids['solaris']}?include=authors`);
  expect(found.headers.get('content-type')).toBe('application/json; charset=utf-8');
  expect(found.text).toBe(JSON.stringify(found.body));
  expect(Object.keys(found.body).join()).toBe('id,title,sourceKey,revision,createdAt,updatedAt,authors');
  expect(Object.keys(found.body.authors[0]).join()).toBe('id,name,position,roles,creditedAs');
  const listed = await get(`/books?prefix=solaris&include=authors`);
  expect(listed.text).toBe(`{"items":[${found.text}],"next":null}`);
  expect(found.body).toMatchObject({
    title: 'Solaris',
    revision: '2',
    authors: [
      { id: ids['lem'], name: 'Lem, Stanisław', position: 1, roles: ['author'], creditedAs: null },
      { id: ids['zola'], position: 2, roles: ['translator', 'foreword'], creditedAs: 'É. Z.' },
    ],
  });
  const author = await get(`/authors/${ids['lem']}?include=books`);
  expect(author.body.books).toEqual([
    { id: ids['solaris'], title: 'Solaris', position: 1, roles: ['author'], creditedAs: null },
  ]);
  expect((await get(`/authors/${ids['alone']}?include=books`)).body.books).toEqual([]);
  expect((await get(`/authors/${ids['alone']}`)).body).not.toHaveProperty('books');
});

test('lists include the other side, in its order', async () => {
  const { items } = (await get('/books?limit=500&include=authors')).body;
  expect(items.find((book: any) => book.id === ids['solaris']).authors.map((one: any) => one.id)).toEqual([
    ids['lem'],
    ids['zola'],
  ]);
  expect(items.find((book: any) => book.id === ids['anon']).authors).toEqual([]);
  const [zola] = (await get('/authors?search=zola&include=books')).body.items;
  expect(zola.books).toHaveLength(14);
});

test('a list inside a resource has at most 100 items, and says if there are more', async () => {
  const count = 101;
  const keys = Array.from({ length: count }, (_, n) => `many ${String(n).padStart(3, '0')}`);
  const many = await importLines(service, [
    ...keys.map((key) => ({ type: 'author', key, name: key })),
    ...keys.map((key, n) => ({
      type: 'book',
      key: `book ${key}`,
      title: key,
      authors: n === 0 ? keys.map((author) => ({ author })) : [{ author: keys[0] }],
    })),
  ]);
  const author = (await get(`/authors/${many['many 000']}?include=books`)).body;
  expect(author.moreBooks).toBe(true);
  expect(author.books.map((book: any) => book.title)).toEqual(keys.slice(0, 100));
  const book = (await get(`/books/${many['book many 000']}?include=authors`)).body;
  expect(book.moreAuthors).toBe(true);
  expect(book.authors.map((one: any) => one.name)).toEqual(keys.slice(0, 100));
  const [listed] = (await get('/books?prefix=many%20000&include=authors')).body.items;
  expect(listed).toEqual(book);
  expect((await get(`/authors/${ids['zola']}?include=books`)).body).not.toHaveProperty('moreBooks');
  expect(await pages(`/authors/${many['many 000']}/books`, 60)).toHaveLength(count);
  for (const id of Object.values(many)) await service.request('DELETE', `/books/${id}`);
  for (const id of Object.values(many)) await service.request('DELETE', `/authors/${id}`);
});

test('an author’s books and a book’s authors are lists of their own', async () => {
  const path = `/authors/${ids['zola']}/books`;
  const whole = (await get(path)).body.items;
  expect(whole.map((book: any) => book.title)).toEqual([
    'Nana',
    'Solaris',
    ...Array.from('ABCDEFGHIJKL', (letter) => `Volume ${letter}`),
  ]);
  for (const limit of [1, 5, 14]) expect(await pages(path, limit)).toEqual(whole);
  expect(await pages(`/books/${ids['solaris']}/authors`, 1)).toMatchObject([
    { id: ids['lem'], position: 1 },
    { id: ids['zola'], position: 2 },
  ]);
});

test('an answer the client has is not sent again', async () => {
  const path = `/authors/${ids['lem']}`;
  const etag = (await get(path)).headers.get('etag') ?? '';
  expect(await get(path, { 'if-none-match': etag })).toMatchObject({ status: 304, text: '' });
  expect((await get(path, { 'if-none-match': '"99"' })).status).toBe(200);
  // The ETag doesn't speak for the books.
  expect((await get(`${path}?include=books`, { 'if-none-match': etag })).status).toBe(200);
});

test('the ETag of an answer covers what is included, and a command compares the revision in the ETag', async () => {
  const add = async (path: string, body: object) => (await service.request('POST', path, { body })).body;
  const author = await add('/authors', { name: 'Before' });
  const book = await add('/books', { title: 'One', authors: [{ authorId: author.id }] });
  const paths = [`/authors/${author.id}?include=books`, `/books/${book.id}?include=authors`];
  let position = book.position;
  const tagsOf = async () => {
    const tags = [];
    for (const path of paths) {
      const { headers } = await get(path, { 'min-position': position });
      const etag = headers.get('etag') ?? '';
      expect(await get(path, { 'if-none-match': `"0", W/${etag}` })).toMatchObject({ status: 304, text: '' });
      expect((await get(path, { 'if-match': '"99"' })).status).toBe(412);
      tags.push(etag);
    }
    return tags;
  };
  const change = async (path: string, body: object, etag: string) => {
    const answer = await service.request('PATCH', path, { body, headers: { 'if-match': etag } });
    position = answer.body.position ?? position;
    return answer.status;
  };
  const tags = [await tagsOf()];
  expect(await change(`/authors/${author.id}`, { name: 'After' }, tags[0]?.[0] ?? '')).toBe(200);
  tags.push(await tagsOf());
  expect(await change(`/books/${book.id}`, { title: 'Two' }, tags[1]?.[1] ?? '')).toBe(200);
  tags.push(await tagsOf());
  for (const n of [0, 1]) expect(new Set(tags.map((each) => each[n])).size).toBe(3);
  expect(await change(`/books/${book.id}`, { title: 'Three' }, tags[1]?.[1] ?? '')).toBe(412);
  for (const path of [`/books/${book.id}`, `/authors/${author.id}`]) await service.request('DELETE', path);
});

test('a position the tables never reach is waited for, then given up', async () => {
  const { head } = (await get('/projections')).body.items[0];
  const beyond = head.replace(/^\d+/, '999999999999');
  const answer = await get('/authors', { 'min-position': beyond });
  expect(answer).toMatchObject({ status: 503, body: { type: 'urn:colophon:problem:unavailable' } });
  expect(answer.headers.get('retry-after')).toBe('1');
});

test('every write is seen by who brings its position', async () => {
  for (let n = 0; n < 30; n += 1) {
    const { body } = await service.request('POST', '/authors', { body: { name: `New ${n}` } });
    const found = await get(`/authors/${body.id}`, { 'min-position': body.position });
    expect(found).toMatchObject({ status: 200, body: { name: `New ${n}` } });
  }
});

test('each projection tells where it stands', async () => {
  const [{ head }] = (await get('/projections')).body.items;
  await get('/audit/events?actor=nobody', { 'min-position': head });
  const stands = (name: string, version: number) => ({
    name,
    version,
    tables: version,
    position: head,
    head,
    lag: 0,
    lagSeconds: 0,
    parked: 0,
    active: true,
    error: null,
    errorSince: null,
    rebuild: null,
  });
  expect((await get('/projections')).body.items).toEqual([stands('catalogue', 7), stands('changes', 2)]);
  expect(head).toMatch(/^\d+\.[\da-f]{8}$/);
});

test.each([
  ['lem solaris', ['Solaris']],
  ['SOLARIS STANISŁAW', ['Solaris']],
  ['zola lem', ['Solaris']],
  ['ez solaris', ['Solaris']],
  ['Marquez Gabriel soledad', ['Cien años de soledad']],
  ['soledad años', ['Cien años de soledad']],
  ['zola nan', ['Nana']],
  ['nana lem', []],
  ['volume k zola emile', ['Volume K']],
])('books are found by title, authors and credits together: %s', async (search, expected) => {
  expect(await titles(`search=${encodeURIComponent(search)}`)).toEqual(expected);
});

test.each(['Marquez Gabriel Garcia', 'gabriel garc', 'g garcia márquez'])(
  'authors are found by the words of the name in any order: %s',
  async (search) => {
    expect(await names(`search=${encodeURIComponent(search)}`)).toEqual(['García Márquez, Gabriel']);
  },
);

describe('texts that look the same', () => {
  let shelf: string;
  beforeAll(async () => {
    const titles = ['Zoo', '“Quoted”', '¿Qué?', 'Apple', '–dash', '’Salem', "J'Accuse…!", 'Enten – Eller'];
    const authors = [
      'Anna  Weber',
      'Mari\u200ba Kos',
      'Dosto\u00adevsky',
      '\u200fأحمد',
      'J. R. R. Rost',
      'कबीर',
    ];
    const more = ['कुबेर', 'Muḥammad ʿAzīz', 'Αριστοτέλης', '紅樓夢', 'がんだむ', 'かんたむ'];
    const found = await importLines(service, [
      ...[...authors, ...more].map((name) => ({ type: 'author', key: name, name })),
      ...[...titles, KOREAN].map((title) => ({
        type: 'book',
        key: title,
        title,
        authors: [{ author: 'Anna  Weber' }],
      })),
    ]);
    shelf = `author=${found['Anna  Weber']}`;
  });
  const KOREAN = '한국어제목은띄어쓰기없이'.repeat(9).slice(0, 104);
  const of = (parameter: string, text: string) => `${parameter}=${encodeURIComponent(text)}`;

  test.each([
    ['J’Accuse', "J'Accuse…!"],
    ['“j accuse”', "J'Accuse…!"],
    ['jaccuse', "J'Accuse…!"],
    ['accuse j', "J'Accuse…!"],
    ['Enten - Eller', 'Enten – Eller'],
    ['Enten\u2212Eller', 'Enten – Eller'],
    ['Enten\u00adEller', 'Enten – Eller'],
    ['\u2014', '–dash', 'Enten – Eller'],
    [KOREAN, KOREAN],
  ])('books: %s', async (search, ...expected) => {
    expect(await titles(of('search', search))).toEqual(expected);
  });

  test.each([
    ['Anna Weber', 'Anna  Weber'],
    ['Weber ', 'Anna  Weber'],
    ['\u3000anna\u00a0 weber', 'Anna  Weber'],
    ['maria kos', 'Mari\u200ba Kos'],
    ['Ma\u2060ria', 'Mari\u200ba Kos'],
    ['dostoevsky', 'Dosto\u00adevsky'],
    ['احمد', '\u200fأحمد'],
    ['J.R.R. Rost', 'J. R. R. Rost'],
    ['JRR Rost', 'J. R. R. Rost'],
    ['J R R Rost', 'J. R. R. Rost'],
    ['Muhammad Aziz', 'Muḥammad ʿAzīz'],
    ["Muhammad 'Aziz", 'Muḥammad ʿAzīz'],
    ['कबीर', 'कबीर'],
    ['ΑΡΙΣΤΟΤΕΛΗΣ', 'Αριστοτέλης'],
    ['夢', '紅樓夢'],
    ['がん', 'がんだむ'],
    ['\u0301'],
    ['\u200b'],
    [' '],
  ])('authors: %j', async (search, ...expected) => {
    expect(await names(of('search', search))).toEqual(expected);
  });

  test('have the same start', async () => {
    expect(await names(of('prefix', 'أحمد'))).toEqual(['\u200fأحمد']);
    expect(await names(of('prefix', 'ΑΡΙΣ'))).toEqual(['Αριστοτέλης']);
    expect(await names(of('prefix', 'j.r.'))).toEqual(['J. R. R. Rost']);
    expect(await names(of('prefix', 'anna weber '))).toEqual(['Anna  Weber']);
    expect(await titles(of('prefix', 'jac'))).toEqual(["J'Accuse…!"]);
    expect(await titles(of('prefix', '"quoted"'))).toEqual(['“Quoted”']);
    expect(await titles(of('prefix', '¿'))).toEqual(['¿Qué?']);
    expect(await titles(of('prefix', '-'))).toEqual(['–dash']);
    expect(await titles(of('prefix', "'"))).toEqual(await titles(of('prefix', '«')));
    expect(await titles(of('prefix', 'ʼ'))).toEqual(expect.arrayContaining(['’Salem', '“Quoted”']));
    expect(await titles(of('prefix', KOREAN))).toEqual([KOREAN]);
    expect(await titles(of('prefix', KOREAN.normalize('NFD')))).toEqual([KOREAN]);
    expect(await titles(of('prefix', '\u0301'))).toEqual([]);
  });

  test('are sorted by the first letter or digit, page after page', async () => {
    const sorted = [
      'Apple',
      '–dash',
      'Enten – Eller',
      "J'Accuse…!",
      '¿Qué?',
      '“Quoted”',
      '’Salem',
      'Zoo',
      KOREAN,
    ];
    for (const limit of [1, 2, 50])
      expect((await pages(`/books?${shelf}`, limit)).map((book) => book.title)).toEqual(sorted);
    expect(await titles(`${shelf}&sort=-title`)).toEqual(sorted.toReversed());
    const path = `/authors/${shelf.replace('author=', '')}/books`;
    expect((await pages(path, 2)).map((book) => book.title)).toEqual(sorted);
  });
});

test('the id of a merged author leads to the last survivor, and to whom it led at a moment', async () => {
  const add = async (name: string) =>
    (await service.request('POST', '/authors', { body: { name } })).body.id as string;
  const [twain, clemens, survivor] = [await add('Twain'), await add('Clemens'), await add('Mark Twain')];
  const authors = [{ authorId: twain }];
  const book = (await service.request('POST', '/books', { body: { title: 'Roughing It', authors } })).body.id;
  const headers = { 'x-actor': 'x', prefer: 'wait=30' };
  const done = async (path: string, body?: object) => {
    const answer = await service.request('POST', path, { body, headers });
    await caughtUp(service);
    return answer.body as { position: string; change: string };
  };
  const asked = async (path: string, headers?: Record<string, string>) => {
    const answer = await get(path, headers);
    return answer.status === 301 ? answer.headers.get('location') : answer.status;
  };
  const leads = async (id: string) => [await asked(`/authors/${id}`), await asked(`/authors/${id}/books`)];
  const toSurvivor = [`/authors/${survivor}`, `/authors/${survivor}/books`];

  const [before] = (await get('/audit/events?sort=-position&limit=1')).body.items;
  const { position: first } = await done(`/authors/${twain}/merge`, { into: clemens });
  expect(await leads(twain)).toEqual([`/authors/${clemens}`, `/authors/${clemens}/books`]);
  const { position: second, change } = await done(`/authors/${clemens}/merge`, { into: survivor });
  expect(await leads(twain)).toEqual(toSurvivor);
  expect(await leads(clemens)).toEqual(toSurvivor);

  const led = await get(`/authors/${twain}`);
  // A merge can be reverted, and a cache would not know.
  expect(led.headers.get('cache-control')).toBe('no-store');
  expect(led.body).toMatchObject({ type: 'urn:colophon:problem:author-merged', status: 301 });
  expect(await asked(`/authors/${twain}?include=books`)).toBe(`${toSurvivor[0]}?include=books`);
  expect(await asked(`/authors/${twain}/books?limit=5`)).toBe(`${toSurvivor[1]}?limit=5`);
  expect(await asked(`/authors/${twain}`, { 'if-none-match': '"0"' })).toBe(toSurvivor[0]);
  const asOf = (position: string) => asked(`/authors/${twain}?asOf=${position}`);
  expect(await asOf(before.position)).toBe(200);
  expect(await asOf(first)).toBe(`/authors/${clemens}?asOf=${first}`);
  expect(await asOf(second)).toBe(`${toSurvivor[0]}?asOf=${second}`);

  const types = (events: any[]) => events.map(({ type }) => type);
  const history = await get(`/audit/authors/${twain}`);
  expect(types(history.body.events)).toEqual(['AuthorAdded', 'BookLinked', 'AuthorMerged', 'BookRelinked']);
  const moved = await get(`/audit/links/${clemens}/${book}`);
  expect(moved.body.changes[0]).toMatchObject({
    event: { type: 'BookRelinked' },
    row: { position: 1, creditedAs: 'Twain', linkedBy: 'x' },
  });

  await done(`/changes/${change}/revert`);
  expect(await leads(clemens)).toEqual([200, 200]);
  expect(await leads(twain)).toEqual([`/authors/${clemens}`, `/authors/${clemens}/books`]);
  await service.request('DELETE', `/authors/${clemens}?books=unlink`, { headers });
  await caughtUp(service);
  expect(await leads(clemens)).toEqual([410, 410]);
  expect(await leads(twain)).toEqual([`/authors/${clemens}`, `/authors/${clemens}/books`]);
});
