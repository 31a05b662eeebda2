import { randomUUID } from 'node:crypto';
import '../support/on-eventstoredb.js';
import '../e2e/foreign-events.e2e-spec.js';
import { caughtUp } from '../support/catalogue.js';
import { serverUrl } from '../support/database.js';
import { softDelete, tombstone } from '../support/past-colophon.js';
import { start } from '../support/process.js';
import { createService } from '../support/service.js';

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
