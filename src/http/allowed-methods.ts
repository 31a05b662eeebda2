import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Problem } from './problem.js';

declare module 'fastify' {
  interface FastifyInstance {
    /** The methods of all routes that match the URL's path, sorted; for `*`, the methods of all routes. */
    readonly allowedMethods: (url: string) => string[];
  }
}

/**
 * Records the routes as they are added, to tell a wrong method (405) from a wrong address (404), and to answer
 * `OPTIONS`. All of these are answered before the body is read, because anybody may ask for what is at no route.
 */
export function rememberRoutes(fastify: FastifyInstance): void {
  const routes: { segments: string[]; methods: string[] }[] = [];
  fastify.addHook('onRoute', ({ url, method }) => {
    routes.push({ segments: url.split('/'), methods: [method].flat() });
  });
  fastify.decorate('allowedMethods', (url: string) => {
    const path = url === '*' ? undefined : segmentsOf(url);
    const matching = routes.filter(({ segments }) => path === undefined || matches(segments, path));
    const methods = new Set(matching.flatMap((route) => route.methods));
    if (methods.size > 0) methods.add('OPTIONS');
    return [...methods].sort();
  });
  fastify.addHook('onRequest', (request, reply, done) => {
    const methods = request.method === 'OPTIONS' ? fastify.allowedMethods(request.url) : [];
    if (methods.length > 0) void reply.status(204).header('allow', methods.join(', ')).send();
    else done(request.is404 ? notFound(request) : undefined);
  });
}

/** The problem of a request for what is at no route: 404, or 405 if the address has other methods. */
export function notFound({
  server,
  method,
  url,
}: Pick<FastifyRequest, 'server' | 'method' | 'url'>): Problem {
  const allow = server.allowedMethods(url);
  if (allow.length === 0 || allow.includes(method))
    return new Problem(404, 'route-not-found', `There is nothing at ${url.split('?')[0]}.`);
  const headers = { allow: allow.join(', ') };
  return new Problem(405, 'method-not-allowed', `Use ${headers.allow}.`, { headers });
}

/** The segments of a URL's path, decoded as the router decodes them. The URL may be in absolute form. */
const segmentsOf = (url: string): string[] =>
  url
    .replace(/^https?:\/\/[^/?#]*/i, '')
    .replace(/[?#].*$/s, '')
    .split('/')
    .map(decodeURIComponent);

function matches(route: readonly string[], path: readonly string[]): boolean {
  const open = route.at(-1) === '*';
  if (open ? path.length < route.length : path.length !== route.length) return false;
  return route.every(
    (part, at) => part === '*' || (part.startsWith(':') ? path[at] !== '' : part === path[at]),
  );
}
