import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { PROBLEM_JSON, problemBody, unavailable } from './problem.js';
import { whenEnded } from './when-ended.js';

/** Answers of this size or more count. Smaller ones fit into the buffers of the operating system. */
const LARGE_BYTES = 65_536;
/** Largest sum of answers that clients asked for and have not read. */
const MAX_UNREAD_BYTES = 128 * 1_048_576;

/**
 * Bounds the memory of answers that wait for slow clients. A large answer beyond the bound becomes a 503. Streams
 * don't count: they are produced as fast as the client reads. A buffer that is several answers counts once.
 */
export function boundUnreadAnswers(fastify: FastifyInstance, mostBytes = MAX_UNREAD_BYTES): void {
  let unread = 0;
  /** How many clients have not read each answer. */
  const readers = new Map<object, number>();
  fastify.addHook('onSend', (request: FastifyRequest, reply: FastifyReply, payload: unknown, done) => {
    const bytes = typeof payload === 'string' || Buffer.isBuffer(payload) ? payload.length : 0;
    if (bytes < LARGE_BYTES) {
      done();
      return;
    }
    const answer: object = Buffer.isBuffer(payload) ? payload : {};
    const others = readers.get(answer) ?? 0;
    if (others === 0 && unread + bytes > mostBytes) {
      const problem = unavailable('Too many large answers wait for clients that do not read them.');
      void reply
        .status(problem.status)
        .headers(problem.extra.headers ?? {})
        .type(PROBLEM_JSON);
      reply.removeHeader('content-length');
      reply.removeHeader('etag');
      done(null, JSON.stringify(problemBody(problem, request.id)));
      return;
    }
    if (others === 0) unread += bytes;
    readers.set(answer, others + 1);
    whenEnded(request, reply, () => {
      const left = (readers.get(answer) ?? 0) - 1;
      if (left > 0) readers.set(answer, left);
      else if (readers.delete(answer)) unread -= bytes;
    });
    done();
  });
}
