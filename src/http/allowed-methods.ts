import type { FastifyInstance } from 'fastify';

declare module 'fastify' {
  interface FastifyInstance {
    /** The methods of all routes that match the URL's path, sorted; for `*`, the methods of all routes. */
    readonly allowedMethods: (url: string) => string[];
  }
}

/**
 * Records the routes as they are added, to tell a wrong method (405) from a wrong address (404), and to answer
 * `OPTIONS`.
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
    if (methods.length === 0) done();
    else void reply.status(204).header('allow', methods.join(', ')).send();
  });
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
