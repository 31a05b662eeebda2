import { randomUUID } from 'node:crypto';
import '../support/on-eventstoredb.js';
import '../e2e/foreign-events.e2e-spec.js';
import { caughtUp, importLines } from '../support/catalogue.js';
import { serverUrl } from '../support/database.js';
import { StreamDeleted } from '../../src/event-store/event-store.js';
import { newEvent, newStream } from '../support/events.js';
import { openLog } from '../support/log.js';
import { keepLast, softDelete, tombstone } from '../support/past-colophon.js';
import { start } from '../support/process.js';
import { createService } from '../support/service.js';

const author = (key: string) => ({ type: 'author', key, name: key });

test('a tombstone of the server stops nothing, and a command on the stream says what happened', async () => {
  const service = await createService();
  const { id } = (await service.request('POST', '/authors', { body: { name: 'A' } })).body;
  await caughtUp(service);
  await tombstone(service.env, `author-${id}`);
  await service.request('POST', '/authors', { body: { id: randomUUID(), name: 'B' } });
  await caughtUp(service);
  expect((await service.request('GET', '/projections')).body.items[0]).toMatchObject({
    error: null,
    parked: 0,
  });
  expect((await service.request('GET', '/audit/events')).status).toBe(200);
  expect((await service.request('GET', `/audit/authors/${id}`)).status).toBe(410);
  expect((await service.request('PATCH', `/authors/${id}`, { body: { name: 'C' } })).status).toBe(410);
  await service.stop();
});

const verify = async (env: Record<string, string>) => {
  const running = start('dist/src/cli.js', ['verify'], env);
  return { code: await running.ended, output: running.output() };
};

test('a stream that was soft-deleted is told for what it is, by commands, history, imports and verify', async () => {
  const service = await createService();
  const [{ kept, gone }] = [await importLines(service, ['kept', 'gone'].map(author))];
  await softDelete(service.env, `author-${gone}`);
  const deleted = { status: 410, body: { type: 'urn:colophon:problem:stream-deleted' } };
  const book = { title: 'B', authors: [{ authorId: gone }] };
  for (const [method, path, body] of [
    ['PATCH', `/authors/${gone}`, { name: 'C' }],
    ['DELETE', `/authors/${gone}`, undefined],
    ['POST', '/authors', { id: gone, name: 'C' }],
    ['POST', '/books', book],
    ['GET', `/audit/authors/${gone}`, undefined],
    ['GET', `/audit/authors/${gone}/row`, undefined],
  ] as const)
    expect(await service.request(method, path, { body })).toMatchObject(deleted);
  const { text } = await service.request('POST', '/imports', {
    raw: [author('gone'), author('new'), author('gone')].map((line) => `${JSON.stringify(line)}\n`).join(''),
    headers: { 'content-type': 'application/x-ndjson' },
  });
  const failed = { key: 'gone', status: 'failed', error: { rule: 'stream-deleted' } };
  expect(
    text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line)),
  ).toMatchObject([failed, { key: 'new', status: 'added' }, failed]);
  await caughtUp(service);
  const { code, output } = await verify(service.env);
  expect(output).toContain(`{"stream":"author-${gone}","deleted":"all"}`);
  expect(output).not.toContain(`author-${kept}`);
  expect(output).toContain('1 stream lost events, which another program deleted');
  expect(code).toBe(1);
  await service.stop();
});

test('an append that makes a deleted stream begin anew is not taken for success', async () => {
  const service = await createService();
  const store = openLog(service.env);
  const stream = newStream();
  await store.append(stream, 'no-stream', [newEvent(), newEvent()]);
  await softDelete(service.env, stream);
  await expect(store.append(stream, 'no-stream', [newEvent()])).rejects.toBeInstanceOf(StreamDeleted);
  await store.close();
  await service.stop();
});

test('a stream that keeps its last events only is told for what it is', async () => {
  const service = await createService();
  const { a } = await importLines(service, [author('a')]);
  const { body } = await service.request('POST', '/books', { body: { title: 'T 0' } });
  for (let n = 1; n < 5; n += 1)
    await service.request('PATCH', `/books/${body.id}`, { body: { title: `T ${n}` } });
  await caughtUp(service);
  await keepLast(service.env, `book-${body.id}`, 2);
  // Nothing is lost yet where no more is there than is kept.
  await keepLast(service.env, `author-${a}`, 2);
  expect(await service.request('PATCH', `/books/${body.id}`, { body: { title: 'U' } })).toMatchObject({
    status: 409,
    body: { type: 'urn:colophon:problem:stream-not-understood', detail: expect.stringContaining('deleted') },
  });
  const history = (await service.request('GET', `/audit/books/${body.id}`)).body;
  expect([history.deleted, history.events.length]).toEqual([3, 2]);
  expect((await service.request('GET', `/audit/authors/${a}`)).body.deleted).toBeUndefined();
  const { code, output } = await verify(service.env);
  expect(output).toContain(`{"stream":"book-${body.id}","deleted":"before revision 3"}`);
  expect(output).not.toContain(`author-${a}`);
  expect(code).toBe(1);
  await service.stop();
});

describe('a start is refused', () => {
  const refusal = async (env: Record<string, string>) => {
    const running = start('dist/src/cli.js', ['status'], env);
    return { code: await running.ended, output: running.output() };
  };

  test('if the stream that names the log was deleted', async () => {
    const service = await createService();
    await softDelete(service.env, 'colophon-log');
    expect(await refusal(service.env)).toMatchObject({
      code: 1,
      output: expect.stringContaining('colophon-log, which names the log, was deleted'),
    });
    await service.stop();
  });

  test('if the prefix makes streams that a log without prefix takes for its own', async () => {
    const env = { EVENTSTOREDB_URL: process.env['EVENTSTOREDB_URL'] ?? '', DATABASE_URL: serverUrl() };
    expect(await refusal({ ...env, EVENTSTOREDB_PREFIX: 'author-' })).toMatchObject({
      code: 1,
      output: expect.stringContaining('EVENTSTOREDB_PREFIX author- contains `author-`'),
    });
  });
});
