import rateLimit from '@fastify/rate-limit';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Problem, unavailable } from './problem.js';
import { whenEnded } from './when-ended.js';

const WINDOW_MS = 60_000;

/** Largest numbers of requests in a minute; 0: no limit. */
export interface RequestLimits {
  readonly requestsPerSubject: number;
  readonly requestsPerAddress: number;
}

/**
 * Who calls: the subject of access control; without access control, the actor that the request names. Callers without a
 * name are told apart by their address.
 */
export const subjectOf = (request: FastifyRequest): string => {
  const { caller } = request as { caller?: { readonly subject: string } | null };
  const subject = caller?.subject ?? [request.headers['x-actor'] ?? ''].flat().join();
  return subject === '' || subject === 'anonymous' ? `anonymous at ${request.ip}` : subject;
};

/** The caller asked for more than its share. Nothing was done. */
const tooMany = (detail: string, retryAfterS: number): Problem =>
  new Problem(429, 'too-many-requests', detail, { headers: { 'retry-after': String(retryAfterS) } });

/**
 * Limits the requests of an address, before anything is known of the caller, and those of a subject. IPv6 addresses count
 * by their network of 64 bits. Of each, the last 5,000 callers are remembered. Answers tell the callers what is left to
 * them, by the fields of draft-ietf-httpapi-ratelimit-headers.
 */
export async function limitRequests(
  fastify: FastifyInstance,
  { requestsPerAddress, requestsPerSubject }: RequestLimits,
): Promise<void> {
  await fastify.register(rateLimit, { global: false });
  const limit = (name: string, max: number, keyOf?: (request: FastifyRequest) => string) => {
    const take = fastify.createRateLimit({
      max,
      timeWindow: WINDOW_MS,
      ...(keyOf && { keyGenerator: keyOf }),
    });
    return async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
      if (request.routeOptions.config.probe) return;
      const taken = await take(request);
      if (taken.isAllowed) return;
      const { remaining, ttlInSeconds, isExceeded } = taken;
      add(reply, 'ratelimit-policy', `"${name}";q=${max};w=${WINDOW_MS / 1_000}`);
      add(reply, 'ratelimit', `"${name}";r=${remaining};t=${ttlInSeconds}`);
      if (isExceeded)
        throw tooMany(
          `More than ${max} requests of one ${name} in a minute; this one was not done.`,
          ttlInSeconds,
        );
    };
  };
  if (requestsPerAddress > 0) fastify.addHook('onRequest', limit('address', requestsPerAddress));
  // After whatever finds out who calls, and before the body is read.
  if (requestsPerSubject > 0) {
    const bySubject = limit('subject', requestsPerSubject, subjectOf);
    fastify.addHook('preParsing', async (request, reply, payload) => {
      await bySubject(request, reply);
      return payload;
    });
  }
}

/** Adds an item to a header that is a list. */
function add(reply: FastifyReply, name: string, item: string): void {
  const before = reply.getHeader(name);
  void reply.header(name, before === undefined ? item : `${String(before)}, ${item}`);
}

/** Largest numbers of streams that one subject may have under way. */
export abstract class StreamLimits {
  abstract readonly importsPerSubject: number;
  abstract readonly readersPerSubject: number;
}

/** Of all subjects together. An import remembers some 20 MB. */
const MAX_IMPORTS = 64;
const MAX_READERS = 1_000;

/** What is under way by subject, of one kind. */
export class Shares {
  private readonly taken = new Map<string, number>();
  private inAll = 0;

  /** @param what the kind, in the plural. */
  constructor(
    private readonly what: string,
    private readonly perSubject: number,
    private readonly most: number,
  ) {}

  /**
   * @returns gives the place back.
   * @throws Problem 429 if the subject has its share, 503 if all places are taken.
   */
  take(subject: string): () => void {
    const own = this.taken.get(subject) ?? 0;
    if (own >= this.perSubject)
      throw tooMany(`${own} ${this.what} of this subject are under way, the most there may be.`, 1);
    if (this.inAll >= this.most)
      throw unavailable('Too many imports or streams of lines are under way; this one was not begun.');
    this.inAll += 1;
    this.taken.set(subject, own + 1);
    return () => {
      this.inAll -= 1;
      const left = (this.taken.get(subject) ?? 0) - 1;
      if (left > 0) this.taken.set(subject, left);
      else this.taken.delete(subject);
    };
  }
}

/** Bounds the imports, and the readers of streams of lines. Both go on for as long as the caller wants. */
export class Streams {
  private readonly imports: Shares;
  private readonly readers: Shares;

  constructor({ importsPerSubject, readersPerSubject }: StreamLimits) {
    this.imports = new Shares('imports', importsPerSubject, MAX_IMPORTS);
    this.readers = new Shares('streams of lines', readersPerSubject, MAX_READERS);
  }

  /**
   * Counts a stream until its answer has ended.
   * @throws Problem 429 or 503
   */
  begin(request: FastifyRequest, reply: FastifyReply): void {
    const { streams } = request.routeOptions.config;
    const giveBack = (streams ? this.imports : this.readers).take(subjectOf(request));
    whenEnded(request, reply, giveBack);
  }
}
