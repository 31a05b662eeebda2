import type { FastifyInstance } from 'fastify';

/** Headers of answers that a page of another origin may read, besides those that every page may. */
const EXPOSED =
  'ETag, Location, Position, Preference-Applied, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate';
/** How long a browser remembers what it may send: a day, of which browsers take two hours. */
const MAX_AGE_S = '86400';

/**
 * Lets pages of the given origins read answers (CORS). No cookies: a token is in a header. The answer to a preflight is
 * that of any `OPTIONS`, with these headers. `@fastify/cors` would answer by a route for every address, so that no
 * address were unknown any more.
 */
export function allowOrigins(fastify: FastifyInstance, origins: readonly string[]): void {
  if (origins.length === 0) return;
  const allowed = new Set(origins);
  fastify.addHook('onRequest', ({ method, url, headers }, reply, done) => {
    const { origin } = headers;
    void reply.header('vary', 'Origin');
    if (origin === undefined || !allowed.has(origin.toLowerCase())) return done();
    void reply.headers({ 'access-control-allow-origin': origin, 'access-control-expose-headers': EXPOSED });
    if (method === 'OPTIONS' && headers['access-control-request-method'] !== undefined)
      void reply.headers({
        'access-control-allow-methods': fastify.allowedMethods(url).join(', '),
        'access-control-allow-headers': headers['access-control-request-headers'] ?? '',
        'access-control-max-age': MAX_AGE_S,
      });
    done();
  });
}
