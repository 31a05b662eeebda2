import helmet from '@fastify/helmet';
import type { FastifyInstance } from 'fastify';

/** What the pages `/` and `/docs` need: their own files, styles in the page, and pictures in the styles. */
const CONTENT = {
  'default-src': ["'self'"],
  'style-src': ["'self'", "'unsafe-inline'"],
  'img-src': ["'self'", 'data:'],
  'object-src': ["'none'"],
  'base-uri': ["'none'"],
  'form-action': ["'self'"],
  'frame-ancestors': ["'none'"],
};

/**
 * Adds the headers by which a browser protects the reader of an answer: nothing of another site is loaded, no other site
 * frames the page, and nobody guesses another media type.
 * @param tls whether the service ends TLS itself; a browser then never calls the service without TLS again.
 */
export async function addSecurityHeaders(fastify: FastifyInstance, tls: boolean): Promise<void> {
  await fastify.register(helmet, {
    contentSecurityPolicy: { useDefaults: false, directives: CONTENT },
    xFrameOptions: { action: 'deny' },
    strictTransportSecurity: tls,
    // These are for browsers that are gone, or do nothing for a service without cookies.
    crossOriginOpenerPolicy: false,
    originAgentCluster: false,
    xDnsPrefetchControl: false,
    xDownloadOptions: false,
    xPermittedCrossDomainPolicies: false,
    xXssProtection: false,
  });
}
