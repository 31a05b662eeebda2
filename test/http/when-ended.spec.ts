import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { fastify } from 'fastify';
import { whenEnded } from '../../src/http/when-ended.js';
import { ask, open } from '../support/raw-http.js';

test('the end of an answer is told once, whether it was sent, the caller left, or nobody was there any more', async () => {
  const app = fastify();
  const told: [path: string, complete: boolean][] = [];
  let begun = 0;
  app.addHook('onRequest', (request, reply, done) => {
    whenEnded(request, reply, (complete) => told.push([request.url, complete]));
    done();
  });
  app.get('/fast', async () => 'x');
  app.get('/slow', async (request, reply) => {
    begun += 1;
    await once(request.raw.socket, 'close');
    whenEnded(request, reply, (complete) => told.push(['late', complete]));
    return 'x';
  });
  const url = await app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = app.server.address() as AddressInfo;
  expect((await ask(`http://127.0.0.1:${port}`, 'GET', '/fast')).status).toBe(200);
  // The second and third wait behind the first, whose answer never comes.
  const { socket, closed } = open(url);
  socket.write('GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(3));
  while (begun < 3) await new Promise(setImmediate);
  socket.destroy();
  await closed;
  while (told.length < 7) await new Promise(setImmediate);
  await app.close();
  const slow = Array.from({ length: 3 }, () => ['/slow', false]);
  const late = Array.from({ length: 3 }, () => ['late', false]);
  expect(told.toSorted()).toEqual([['/fast', true], ...slow, ...late]);
});
