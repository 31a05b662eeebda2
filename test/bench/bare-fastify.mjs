import { fastify } from 'fastify';

// The peer: a process that answers GET /n with n constant bytes of JSON, and takes a POST without doing anything.
const constants = new Map();
const app = fastify();
app.get('/:size', async (request, reply) => {
  const size = Number(request.params.size);
  if (!constants.has(size)) constants.set(size, JSON.stringify({ x: 'x'.repeat(Math.max(0, size - 8)) }));
  reply.type('application/json; charset=utf-8');
  return constants.get(size);
});
app.post('/:size', async (request, reply) => reply.status(201).send({ id: request.body.name }));
process.send(await app.listen({ port: 0, host: '127.0.0.1' }));
