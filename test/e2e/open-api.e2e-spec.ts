import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv2020 } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import { caughtUp } from '../support/catalogue.js';
import { createService, type Answer, type TestService } from '../support/service.js';

let service: TestService;
let document: any;
beforeAll(async () => {
  service = await createService();
  document = (await service.request('GET', '/docs/openapi.json')).body;
});
afterAll(() => service.stop());

const METHODS = ['get', 'post', 'put', 'patch', 'delete'];

test('is valid OpenAPI 3.1', async () => {
  const result = await new Validator().validate(structuredClone(document));
  expect(result).toEqual({ valid: true });
  expect(document.openapi).toBe('3.1.0');
});

test('is shown as a page', async () => {
  const page = await service.request('GET', '/docs');
  expect(page.status).toBe(200);
  expect(page.text).toContain('<title>Swagger UI</title>');
  // The page asks for the description, instead of having a copy.
  const script = await service.request('GET', '/docs/swagger-ui-init.js');
  expect(script.text).toContain('"swaggerUrl": "/docs/openapi.json"');
  expect(script.text.length).toBeLessThan(10_000);
});

test('names every method that a path takes', async () => {
  for (const [path, operations] of Object.entries<any>(document.paths)) {
    const address = path.replaceAll(/\{\w+\}/g, '00000000-0000-4000-8000-000000000000');
    const unused = METHODS.find((method) => !(method in operations)) ?? '';
    const { status, headers } = await service.request(unused.toUpperCase(), address);
    const allowed = headers
      .get('allow')
      ?.split(', ')
      .filter((method) => method !== 'HEAD' && method !== 'OPTIONS');
    expect([path, status, allowed]).toEqual([
      path,
      405,
      Object.keys(operations)
        .map((method) => method.toUpperCase())
        .toSorted(),
    ]);
  }
});

test('gives every operation a name of its own, a summary and problems', () => {
  const operations = Object.values<any>(document.paths).flatMap((path) => Object.values<any>(path));
  const ids = operations.map((operation) => operation.operationId);
  expect(new Set(ids).size).toBe(ids.length);
  for (const operation of operations) {
    expect(operation.summary).toMatch(/.+/);
    // The page needs nothing that could be away.
    if (operation.operationId !== 'home') expect(Object.keys(operation.responses)).toContain('503');
  }
});

test('every answer looks as described, and every status is foreseen', async () => {
  const ajv = new Ajv2020({ strict: false });
  formats.default(ajv);
  const seen = new Set<string>();
  const call = async (method: string, template: string, address: string, body?: unknown): Promise<Answer> => {
    const answer = await service.request(method, address, { body });
    const response = document.paths[template][method.toLowerCase()].responses[answer.status];
    expect({ method, template, status: answer.status, described: response !== undefined }).toMatchObject({
      described: true,
    });
    const type = answer.headers.get('content-type')?.split(';')[0] ?? '';
    const { schema } = response.content[type];
    const valid = ajv.validate(schema, answer.body);
    expect({ template, valid, errors: ajv.errors }).toEqual({ template, valid: true, errors: null });
    seen.add(`${method} ${template}`);
    return answer;
  };
  const none = '00000000-0000-4000-8000-000000000000';
  const author = (await call('POST', '/authors', '/authors', { name: 'A' })).body.id;
  const book = (await call('POST', '/books', '/books', { title: 'B', authors: [{ authorId: author }] })).body
    .id;
  await call('POST', '/authors', '/authors', { id: author, name: 'A' });
  const odd = (await call('POST', '/authors', '/authors', { id: 'f'.repeat(32), name: 'Odd' })).body.id;
  await call('GET', '/audit/authors/{id}', `/audit/authors/${odd}`);
  await call('POST', '/authors', '/authors', { nom: 'A' });
  await call('POST', '/books', '/books', { title: 'B', authors: [{ authorId: none }] });
  await call('PATCH', '/authors/{id}', `/authors/${author}`, { name: 'A2' });
  await call('PATCH', '/authors/{id}', `/authors/${none}`, { name: 'A2' });
  await call('PATCH', '/books/{id}', `/books/${book}`, { title: 'B2' });
  await call('PUT', '/books/{id}/authors/{authorId}', `/books/${book}/authors/${author}`, {
    roles: ['editor'],
  });
  await call('PUT', '/books/{id}/authors/{authorId}', `/books/${book}/authors/${author}`, { position: 9 });
  await call('PUT', '/books/{id}/authors/{authorId}', `/books/${book}/authors/${none}`, {});
  await call('PUT', '/books/{id}/authors', `/books/${book}/authors`, { authorIds: [author] });
  await caughtUp(service);
  await call('GET', '/authors', '/authors?include=books&hasBooks=true');
  await call('GET', '/authors', '/authors?limit=0');
  await call('GET', '/books', '/books?include=authors');
  await call('GET', '/authors/{id}', `/authors/${author}?include=books`);
  await call('GET', '/authors/{id}', `/authors/${none}`);
  await call('GET', '/books/{id}', `/books/${book}?include=authors`);
  await call('GET', '/authors/{id}/books', `/authors/${author}/books`);
  await call('GET', '/books/{id}/authors', `/books/${book}/authors`);
  await call('DELETE', '/authors/{id}', `/authors/${author}`);
  const remove = (query: string) => call('DELETE', '/authors/{id}', `/authors/${author}?${query}`);
  const merge = (id: string, query = '') =>
    call('POST', '/authors/{id}/merge', `/authors/${id}/merge${query}`, { into: author });
  for (const query of ['books=unlink&dryRun=true', 'books=remove-all&dryRun=true']) await remove(query);
  const merged = (await call('POST', '/authors', '/authors', { name: 'Merged' })).body.id;
  await service.request('PUT', `/books/${book}/authors/${merged}`);
  await merge(merged, '?dryRun=true');
  await service.request('DELETE', `/books/${book}/authors/${merged}`);
  for (const id of [merged, author, none]) await merge(id);
  await caughtUp(service);
  const moved = await call('GET', '/authors/{id}', `/authors/${merged}`);
  expect(moved.headers.get('location')).toBe(`/authors/${author}`);
  await call('GET', '/authors/{id}/books', `/authors/${merged}/books`);
  await call('PATCH', '/authors/{id}', `/authors/${merged}`, { name: 'Other' });
  await call('PUT', '/books/{id}/authors/{authorId}', `/books/${book}/authors/${merged}`, {});
  await call('DELETE', '/books/{id}/authors/{authorId}', `/books/${book}/authors/${author}`);
  await call('PUT', '/books/{id}/authors/{authorId}', `/books/${book}/authors/${author}`, {});
  await call('DELETE', '/books/{id}', `/books/${book}`);
  await call('PATCH', '/books/{id}', `/books/${book}`, { title: 'B3' });
  await caughtUp(service);
  await call('GET', '/books/{id}', `/books/${book}`);
  await call('DELETE', '/authors/{id}', `/authors/${author}`);
  const waiting = async (method: string, template: string, address: string) => {
    const { body } = await call(method, template, address);
    expect((body.items?.find((item: any) => item.waitingAuthors) ?? body).waitingAuthors).toHaveLength(1);
  };
  await waiting('POST', '/books/{id}/restore', `/books/${book}/restore`);
  await caughtUp(service);
  await waiting('GET', '/books/{id}', `/books/${book}?include=authors`);
  await waiting('GET', '/books/{id}', `/books/${book}?include=authors&asOf=${new Date().toISOString()}`);
  await waiting('GET', '/books', '/books?include=authors');
  await waiting('GET', '/books/{id}/authors', `/books/${book}/authors`);
  await call('POST', '/authors/{id}/restore', `/authors/${author}/restore`);
  await call('GET', '/audit/authors/{id}', `/audit/authors/${author}`);
  await call('GET', '/audit/books/{id}', `/audit/books/${book}`);
  await call('GET', '/audit/books/{id}', `/audit/books/${none}`);
  await call('GET', '/audit/events', '/audit/events?limit=3');
  const { body: feed } = await call('GET', '/audit/events', `/audit/events?author=${author}&sort=-position`);
  const change = '/changes/{id}';
  await call('GET', change, change.replace('{id}', feed.items[0].correlationId));
  await call('GET', change, change.replace('{id}', none));
  const revert = '/changes/{id}/revert';
  for (const [id, query] of [
    [feed.items[0].correlationId, '?dryRun=true'],
    [feed.items[0].correlationId, ''],
    [none, ''],
  ])
    await call('POST', revert, revert.replace('{id}', id) + query);
  await call('GET', '/policies', '/policies');
  await call('GET', '/audit/authors/{id}/row', `/audit/authors/${author}/row`);
  await call('GET', '/audit/books/{id}/row', `/audit/books/${book}/row`);
  await call('GET', '/audit/links/{authorId}/{bookId}', `/audit/links/${author}/${book}`);
  await call('GET', '/audit/links/{authorId}/{bookId}', `/audit/links/${none}/${book}`);
  await call('GET', '/authors/{id}', `/authors/${author}?asOf=${new Date().toISOString()}`);
  await call('GET', '/projections', '/projections');
  await call('GET', '/projections/{name}', '/projections/changes');
  await call('GET', '/projections/{name}', '/projections/nothing');
  const rebuild = '/projections/{name}/rebuild';
  const rebuilds = '/projections/{name}/rebuilds/{id}';
  const job = (name: string, id: string) => rebuilds.replace('{name}', name).replace('{id}', id);
  const { id } = (await call('POST', rebuild, '/projections/changes/rebuild')).body;
  await call('POST', rebuild, '/projections/catalogue/rebuild?allowParked=yes');
  await call('POST', rebuild, '/projections/nothing/rebuild');
  await call('GET', rebuilds, job('changes', id));
  await call('GET', rebuilds, job('changes', none));
  await call('GET', '/projections', '/projections');
  await call('GET', '/health/live', '/health/live');
  await call('GET', '/health/ready', '/health/ready');
  const described = Object.entries<any>(document.paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
  );
  // The page, metrics and an import's lines are no JSON. home, metrics and imports.e2e-spec.ts look at them.
  expect([...seen, 'GET /', 'GET /metrics', 'POST /imports'].toSorted()).toEqual(described.toSorted());
});
