import { randomUUID } from 'node:crypto';
import { createService, send, type Answer, type TestService } from '../support/service.js';
import { TcpProxy } from '../support/tcp-proxy.js';

let service: TestService;
beforeAll(async () => {
  service = await createService();
});
afterAll(() => service.stop());

const keyed = (method: string, path: string, body: unknown, key: string, actor = 'clerk') =>
  service.request(method, path, { body, headers: { 'idempotency-key': key, 'x-actor': actor } });
const answerOf = ({ status, headers, body }: Answer) => ({
  status,
  // Each request has an id of its own.
  body: { ...body, requestId: undefined },
  ...Object.fromEntries(['etag', 'location', 'position'].map((name) => [name, headers.get(name)])),
});
const history = async (path: string) => (await service.request('GET', `/audit/${path}`)).body.events as any[];

test('every kind of command repeated under its key is done once and answered as the first time', async () => {
  const author = (await service.request('POST', '/authors', { body: { name: 'A' } })).body.id as string;
  const other = (await service.request('POST', '/authors', { body: { name: 'B' } })).body.id as string;
  const book = (await keyed('POST', '/books', { title: 'T', authors: [{ authorId: author }] }, 'book')).body
    .id as string;
  const commands: [string, string, unknown][] = [
    ['POST', '/authors', { name: 'New' }],
    ['POST', '/books', { title: 'New', authors: [{ authorId: author }] }],
    ['PATCH', `/authors/${author}`, { name: 'Renamed' }],
    ['PATCH', `/books/${book}`, { title: 'Retitled' }],
    ['PUT', `/books/${book}/authors/${other}`, { position: 1, roles: ['editor'] }],
    ['PUT', `/books/${book}/authors`, { authorIds: [author, other] }],
    ['DELETE', `/books/${book}/authors/${author}`, undefined],
    ['DELETE', `/books/${book}`, undefined],
    ['POST', `/books/${book}/restore`, undefined],
    ['DELETE', `/books/${book}/authors/${other}`, undefined],
    ['DELETE', `/authors/${other}`, undefined],
    ['POST', `/authors/${other}/restore`, undefined],
  ];
  const firsts: Answer[] = [];
  for (const [n, [method, path, body]] of commands.entries())
    firsts.push(await keyed(method, path, body, `key ${n}`));
  for (const { status } of firsts) expect([200, 201]).toContain(status);
  const length = (await service.request('GET', '/projections')).body.items[0].head;

  const repeatAll = async () => {
    for (const [n, [method, path, body]] of commands.entries()) {
      const again = await keyed(method, path, body, `key ${n}`);
      expect(answerOf(again)).toEqual(answerOf(firsts[n] as Answer));
    }
    expect((await service.request('GET', '/projections')).body.items[0].head).toBe(length);
  };
  await repeatAll();
  await service.restart('SIGKILL');
  await repeatAll();
});

test('the order of fields does not matter, another request under the key is refused', async () => {
  const id = randomUUID();
  const first = await keyed('POST', '/authors', { id, name: 'Same' }, 'order');
  expect(answerOf(await keyed('POST', '/authors', { name: 'Same', id }, 'order'))).toEqual(answerOf(first));
  expect(await keyed('POST', '/authors', { name: 'Other', id }, 'order')).toMatchObject({
    status: 422,
    body: { type: 'urn:colophon:problem:idempotency-key-reused' },
  });
  await keyed('POST', '/authors', { name: 'Derived' }, 'derived');
  expect((await keyed('POST', '/authors', { name: 'Other' }, 'derived')).status).toBe(422);
});

test('a key belongs to one request, whatever route and id the next request names', async () => {
  const [one, two] = [randomUUID(), randomUUID()];
  for (const id of [one, two]) await service.request('POST', '/authors', { body: { id, name: 'Before' } });
  expect((await keyed('PATCH', `/authors/${one}`, { name: 'After' }, 'one request')).status).toBe(200);
  const head = async () => (await service.request('GET', '/projections')).body.items[0].head as string;
  const before = await head();
  const others: [string, string, unknown][] = [
    ['PATCH', `/authors/${two}`, { name: 'After' }],
    ['DELETE', `/authors/${two}`, undefined],
    ['DELETE', `/authors/${one}`, undefined],
    ['POST', `/authors/${two}/restore`, undefined],
    ['POST', '/authors', { name: 'After' }],
    ['POST', '/books', { title: 'After', authors: [{ authorId: one }] }],
    ['PATCH', `/books/${randomUUID()}`, { title: 'After' }],
  ];
  for (const [method, path, body] of others)
    expect(await keyed(method, path, body, 'one request')).toMatchObject({
      status: 422,
      body: { type: 'urn:colophon:problem:idempotency-key-reused' },
    });
  expect(await head()).toBe(before);
});

test('a command that found nothing to do finds nothing to do at its repeat, whatever happened since', async () => {
  const id = (await service.request('POST', '/authors', { body: { name: 'Mine' } })).body.id as string;
  const first = await keyed('PATCH', `/authors/${id}`, { name: 'Mine' }, 'nothing');
  await service.request('PATCH', `/authors/${id}`, { body: { name: 'Theirs' } });
  const repeat = async () => answerOf(await keyed('PATCH', `/authors/${id}`, { name: 'Mine' }, 'nothing'));
  expect(await repeat()).toEqual(answerOf(first));
  await service.restart('SIGKILL');
  expect(await repeat()).toEqual(answerOf(first));
  expect(await history(`authors/${id}`)).toHaveLength(2);
});

test('a refusal is given again, also if the command would be accepted by now', async () => {
  const id = (await service.request('POST', '/authors', { body: { name: 'Gone' } })).body.id as string;
  await service.request('DELETE', `/authors/${id}`);
  const book = (title: string, key: string) =>
    keyed('POST', '/books', { title, authors: [{ authorId: id }] }, key);
  const refused = await book('Refused', 'refused');
  expect(refused).toMatchObject({ status: 422, body: { type: 'urn:colophon:problem:author-removed' } });
  const outdated = () =>
    service.request('POST', `/authors/${id}/restore`, {
      headers: { 'idempotency-key': 'outdated', 'if-match': '"0"' },
    });
  expect((await outdated()).status).toBe(412);
  await service.request('POST', `/authors/${id}/restore`);
  expect(answerOf(await book('Refused', 'refused'))).toEqual(answerOf(refused));
  expect((await outdated()).status).toBe(412);
  expect((await book('Refused', 'another')).status).toBe(201);
});

test('requests that mean the same are one request', async () => {
  const author = randomUUID();
  await service.request('POST', '/authors', { body: { id: author, name: 'Same' } });
  const book = randomUUID();
  const authors = [{ authorId: author }];
  const pairs: [string, [string, string, unknown], [string, string, unknown]][] = [
    [
      'defaults of a new book',
      ['POST', '/books', { id: book, title: 'T', authors }],
      [
        'POST',
        '/books',
        {
          id: book.toUpperCase(),
          title: ' T ',
          authors: [{ authorId: author.toUpperCase(), roles: ['author'], creditedAs: null }],
        },
      ],
    ],
    [
      'roles are a set',
      ['PUT', `/books/${book}/authors/${author}`, { roles: ['editor', 'author'] }],
      ['PUT', `/books/${book.toUpperCase()}/authors/${author}`, { roles: ['author', 'editor'] }],
    ],
    [
      'no body and an empty one',
      ['PUT', `/books/${book}/authors/${author}`, {}],
      ['PUT', `/books/${book}/authors/${author}`, undefined],
    ],
    ['the same', ['DELETE', `/books/${book}`, undefined], ['DELETE', `/books/${book}`, undefined]],
    [
      'default of a removal',
      ['DELETE', `/authors/${author}`, undefined],
      ['DELETE', `/authors/${author.toUpperCase()}?books=refuse`, undefined],
    ],
  ];
  for (const [key, first, second] of pairs) {
    const answer = await keyed(...first, key);
    expect([200, 201]).toContain(answer.status);
    expect(answerOf(await keyed(...second, key))).toEqual(answerOf(answer));
  }
});

test('keys are their actor’s own', async () => {
  const one = await keyed('POST', '/authors', { name: 'A' }, 'shared', 'one');
  const two = await keyed('POST', '/authors', { name: 'A' }, 'shared', 'two');
  expect([one.status, two.status]).toEqual([201, 201]);
  expect(one.body.id).not.toBe(two.body.id);
});

test('sent many times at once, it is done once', async () => {
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => keyed('POST', '/authors', { name: 'Once' }, 'at once')),
  );
  for (const answer of answers) expect(answerOf(answer)).toEqual(answerOf(answers[0] as Answer));
  expect(await history(`authors/${answers[0]?.body.id}`)).toHaveLength(1);
});

test('a first answer that never arrived is given at the second try', async () => {
  const { hostname, port } = new URL(service.url);
  const proxy = await TcpProxy.to({ host: hostname, port: Number(port) });
  const options = { body: { name: 'Lost' }, headers: { 'idempotency-key': 'lost' } };
  const headOf = async () => (await service.request('GET', '/projections')).body.items[0].head as string;
  const before = await headOf();
  proxy.swallow();
  const lost = send(`http://127.0.0.1:${proxy.port}/authors`, 'POST', options);
  const failed = expect(lost).rejects.toThrow();
  let head = before;
  while (head === before) head = await headOf();
  proxy.cut();
  await failed;
  await service.restart('SIGKILL');
  const again = await service.request('POST', '/authors', options);
  expect(again).toMatchObject({
    status: 201,
    body: { revision: '0', position: head },
  });
  expect(await history(`authors/${again.body.id}`)).toHaveLength(1);
  await proxy.close();
});
