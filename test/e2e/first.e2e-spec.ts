import { createService, type TestService } from '../support/service.js';

let service: TestService;
beforeAll(async () => {
  service = await createService();
});
afterAll(() => service.stop());

test('a command becomes an event, a row and an answer', async () => {
  const added = await service.request('POST', '/authors', { body: { name: 'Jane Austen' } });
  expect(added.status).toBe(201);
  const { id, position } = added.body;
  const found = await service.request('GET', `/authors/${id}`, { headers: { 'min-position': position } });
  expect(found.body).toMatchObject({ id, name: 'Jane Austen', revision: '0' });
});
