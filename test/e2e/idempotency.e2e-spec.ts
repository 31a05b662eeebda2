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
  body,
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
  await keyed('DELETE', `/authors/${id}`, undefined, 'removal');
  expect((await keyed('POST', `/authors/${id}/restore`, undefined, 'removal')).status).toBe(422);
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
