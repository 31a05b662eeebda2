import type { FastifyInstance } from 'fastify';
import { Histogram, type Registry } from 'prom-client';

/** Lists and pages of the log take longer than commands, imports up to hours. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60];

/** Counts requests by the route's template. A request that reaches no route has neither template nor method. */
export function countRequests(registry: Registry, fastify: FastifyInstance): void {
  const requests = new Histogram({
    name: 'colophon_http_request_duration_seconds',
    help: 'Time of a request, from its headers to the end of the answer',
    labelNames: ['method', 'route', 'status'],
    buckets: SECONDS,
    registers: [registry],
  });
  fastify.addHook('onResponse', (request, reply, done) => {
    const { url: route = 'none' } = request.routeOptions;
    const method = route === 'none' ? 'any' : request.method;
    const status = `${Math.floor(reply.statusCode / 100)}xx`;
    requests.observe({ method, route, status }, reply.elapsedTime / 1_000);
    done();
  });
}
