import {
  createParamDecorator,
  Injectable,
  SetMetadata,
  type CanActivate,
  type ExecutionContext,
} from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Streams } from './limits.js';
import { NDJSON } from './media-types.js';
import { negotiate } from './negotiate.js';
import { invalidRequest, Problem } from './problem.js';

/** What a route offers, as the API's description says. */
export interface Offer {
  /** Names of the query parameters. */
  readonly query: readonly string[];
  /** Media types of the answer, the preferred type first. */
  readonly produces: readonly string[];
  /** Further request headers that the answer depends on. */
  readonly variesBy?: readonly string[];
}

const OFFER = 'colophon:offer';

/** An offer, with the header `Vary` of its answers. */
interface KnownOffer extends Offer {
  readonly vary: string;
}

export const Offers = (offer: Offer): MethodDecorator =>
  SetMetadata(OFFER, {
    ...offer,
    vary: ['Accept', ...(offer.variesBy ?? [])].join(', '),
  } satisfies KnownOffer);

const offerOf = (host: ExecutionContext) =>
  Reflect.getMetadata(OFFER, host.getHandler()) as KnownOffer | undefined;

/** The media type of the answer, chosen by the header `Accept`. */
export const MediaType = createParamDecorator((_: unknown, host: ExecutionContext) =>
  negotiate(host.switchToHttp().getRequest<FastifyRequest>().headers.accept, offerOf(host)?.produces ?? []),
);

/**
 * Refuses what the route doesn't offer: unknown query parameters (400), and answers of other media types (406). Streams
 * of lines are counted.
 */
@Injectable()
export class OfferGuard implements CanActivate {
  constructor(private readonly streams: Streams) {}

  canActivate(host: ExecutionContext): boolean {
    const offer = offerOf(host);
    if (!offer) return true;
    const request = host.switchToHttp().getRequest<FastifyRequest>();
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    const vary = reply.getHeader('vary');
    void reply.header('vary', vary === undefined ? offer.vary : `${String(vary)}, ${offer.vary}`);
    const unknown = Object.keys(request.query as object).filter((name) => !offer.query.includes(name));
    if (unknown.length > 0)
      throw invalidRequest(
        unknown.map((name) => ({
          pointer: `query/${name}`,
          rule: 'unknown-field',
          detail: 'is not known here',
        })),
      );
    const mediaType = negotiate(request.headers.accept, offer.produces);
    if (mediaType === undefined)
      throw new Problem(406, 'not-acceptable', `The answer is ${offer.produces.join(' or ')}.`);
    if (mediaType === NDJSON) this.streams.begin(request, reply);
    return true;
  }
}
