import type { FastifyInstance } from 'fastify';

declare module 'fastify' {
  interface FastifyInstance {
    /** The methods of all routes that match the URL's path, sorted. */
    readonly allowedMethods: (url: string) => string[];
  }
}

/** Records the routes as they are added, to tell a wrong method (405) from a wrong address (404). */
export function rememberRoutes(fastify: FastifyInstance): void {
  const routes = new Map<string, { pattern: RegExp; methods: Set<string> }>();
  fastify.addHook('onRoute', ({ url, method }) => {
    const pattern = new RegExp(
      `^${url.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/:[^/]+/g, '[^/]+')}/?$`,
    );
    const route = routes.get(url) ?? { pattern, methods: new Set() };
    for (const name of [method].flat()) route.methods.add(name);
    routes.set(url, route);
  });
  fastify.decorate('allowedMethods', (url: string) => {
    const path = url.split('?', 1)[0] ?? '';
    const methods = new Set<string>();
    for (const route of routes.values())
      if (route.pattern.test(path)) for (const method of route.methods) methods.add(method);
    return [...methods].sort();
  });
}
