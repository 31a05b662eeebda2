import { Problem } from './problem.js';

export const JSON_TYPE = 'application/json';
export const NDJSON = 'application/x-ndjson';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The route reads its body as a stream of NDJSON. Other routes read JSON, limited in bytes and time. */
    readonly streams?: boolean;
  }
}

interface BodyConfig {
  readonly streams?: boolean;
}

/** The media type of the bodies that a route reads. */
export const bodyType = ({ streams }: BodyConfig): string => (streams ? NDJSON : JSON_TYPE);

export const unsupportedType = (config: BodyConfig): Problem =>
  new Problem(415, 'unsupported-media-type', `The request body must be ${bodyType(config)}.`, {
    headers: { accept: bodyType(config) },
  });
