import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fastify } from 'fastify';
import { boundUnreadAnswers } from '../../src/http/unread-answers.js';

/** More than the operating system buffers for a client that doesn't read. */
const LARGE = 32 * 1_048_576;

test('large answers that nobody reads are bounded; small ones and streams are not affected; there is room again', async () => {
  const app = fastify();
  boundUnreadAnswers(app, 3 * LARGE);
  app.get('/large', async () => 'x'.repeat(LARGE));
  app.get('/small', async () => 'x');
  await app.listen({ port: 0, host: '127.0.0.1' });
  const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
  const ask = async (path: string): Promise<IncomingMessage> => {
    const [response] = (await once(get(`${url}${path}`, { agent: false }), 'response')) as [IncomingMessage];
    return response;
  };
  const unread = await Promise.all([1, 2, 3].map(() => ask('/large')));
  expect(unread.map((response) => response.statusCode)).toEqual([200, 200, 200]);
  const refused = await fetch(`${url}/large`);
  expect(refused.status).toBe(503);
  expect(refused.headers.get('retry-after')).toBe('1');
  expect(refused.headers.get('content-type')).toBe('application/problem+json');
  expect(await refused.json()).toMatchObject({ type: 'urn:colophon:problem:unavailable', status: 503 });
  expect((await fetch(`${url}/small`)).status).toBe(200);

  unread[0]?.destroy();
  let again = await fetch(`${url}/large`);
  while (again.status === 503) again = await fetch(`${url}/large`);
  expect((await again.text()).length).toBe(LARGE);
  for (const response of unread) response.destroy();
  await app.close();
});
