import type { FastifyInstance } from 'fastify';
import { Problem } from './problem.js';

/**
 * Limits the time that a request body may take. A body that drips would otherwise keep a connection open for ever.
 * A route that reads a stream has no such limit, because bodies of any length arrive there.
 */
export function limitBodyTime(fastify: FastifyInstance, limitMs: number): void {
  fastify.addHook('onRequest', (request, reply, done) => {
    const { raw, headers } = request;
    const hasBody = (headers['content-length'] ?? '0') !== '0' || headers['transfer-encoding'] !== undefined;
    if (hasBody && !request.routeOptions.config.streams) {
      const timer = setTimeout(() => {
        if (raw.complete) return;
        // The request is already answered, such as by a refusal: nobody reads the rest.
        if (reply.sent) raw.destroy();
        else
          void reply
            .header('connection', 'close')
            .send(new Problem(408, 'request-timeout', `The body did not arrive within ${limitMs} ms.`));
      }, limitMs);
      raw.once('close', () => clearTimeout(timer));
    }
    done();
  });
}
