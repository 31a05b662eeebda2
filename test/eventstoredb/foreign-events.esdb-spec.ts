import { randomUUID } from 'node:crypto';
import '../support/on-eventstoredb.js';
import '../e2e/foreign-events.e2e-spec.js';
import { caughtUp } from '../support/catalogue.js';
import { tombstone } from '../support/past-colophon.js';
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
