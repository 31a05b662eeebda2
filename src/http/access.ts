import { applyDecorators } from '@nestjs/common';
import { RouteConfig } from '@nestjs/platform-fastify';
import { FASTIFY_ROUTE_CONFIG_METADATA } from '@nestjs/platform-fastify/constants.js';
import { ApiSecurity } from '@nestjs/swagger';
import type { FastifyInstance, FastifyRequest, RouteOptions } from 'fastify';
import { Problem } from './problem.js';

/** What a caller may do. No scope includes another. */
export const SCOPES = ['read', 'write', 'audit', 'operate'] as const;
export type Scope = (typeof SCOPES)[number];

/** Who may use a route: callers with this scope, or anyone. */
export type Access = Scope | 'anyone';

/** Who sent a request. */
export interface KnownCaller {
  /** The subject of the token. Without access control, the header `X-Actor` as it was sent, or `anonymous`. */
  readonly subject: string;
  /** Without access control, all scopes. */
  readonly scopes: readonly Scope[];
  /** Whether a token proves the subject. */
  readonly verified: boolean;
  /** Whether the token has not ended or been revoked meanwhile. Cheap: whatever goes on for long asks again and again. */
  readonly isValid: () => boolean;
}

/**
 * Finds out who sent a token. Wired in `resources.ts`.
 * @returns undefined if the token proves nothing. A promise only for a token that was not seen before.
 * @throws Problem 503 if nobody can tell at the moment.
 */
export type Authenticate = (token: string) => KnownCaller | undefined | Promise<KnownCaller | undefined>;

declare module 'fastify' {
  interface FastifyRequest {
    /** Set before any other hook that needs it, and before the body is read. */
    caller: KnownCaller;
  }
  interface FastifyContextConfig {
    /** A route without this rule is refused at the start. */
    readonly access?: Access;
    /** The scope that a dry run needs besides: an answer without a change shows what was read. */
    readonly dryRun?: Scope | undefined;
  }
}

/** The name of the tokens in the API's description. */
export const TOKEN = 'token';

/**
 * Says who may use a route: the rule itself, and its description. Stands above any other `RouteConfig` of the route.
 * @param dryRun the scope that `dryRun=true` needs besides. The description has a second alternative for it.
 */
export function Access(access: Access, dryRun?: Scope): MethodDecorator {
  const rule: MethodDecorator = (target, key, descriptor) => {
    const handler = descriptor.value as object;
    const others = Reflect.getMetadata(FASTIFY_ROUTE_CONFIG_METADATA, handler) as object | undefined;
    RouteConfig({ ...others, access, dryRun })(target, key, descriptor);
  };
  if (access === 'anyone') return rule;
  const alternatives = dryRun === undefined ? [[access]] : [[access], [access, dryRun]];
  return applyDecorators(rule, ...alternatives.map((scopes) => ApiSecurity(TOKEN, scopes)));
}

export const ANONYMOUS = 'anonymous';
const always = () => true;
const NOBODY: KnownCaller = { subject: ANONYMOUS, scopes: [], verified: false, isValid: always };

/** Largest number of characters of a token. Providers' tokens have some 2,000. */
const MAX_TOKEN_LENGTH = 8_192;
const MAX_SUBJECT_LENGTH = 255;

/**
 * Sets the caller of each request, and refuses callers whom the rule of the route doesn't admit.
 * @param authenticate undefined: there is no access control, and every caller has all scopes.
 */
export function controlAccess(fastify: FastifyInstance, authenticate: Authenticate | undefined): void {
  fastify.decorateRequest('caller', null as unknown as KnownCaller);
  fastify.addHook('onRoute', requireRule);
  fastify.addHook('onRequest', (request, _reply, done) => {
    const { access } = request.routeOptions.config;
    if (!authenticate) {
      request.caller = { subject: claimedBy(request), scopes: SCOPES, verified: false, isValid: always };
      done();
      return;
    }
    request.caller = NOBODY;
    if (access === 'anyone') {
      done();
      return;
    }
    const settle = (caller: KnownCaller | undefined) => {
      const refusal = refusalOf(caller, request);
      if (caller) request.caller = caller;
      done(refusal);
    };
    const token = tokenOf(request);
    const found = token === undefined ? undefined : authenticate(token);
    if (found instanceof Promise) found.then(settle, done);
    else settle(found);
  });
}

/** The pages of the API's description, which Nest adds without decorators. They hold nothing of the catalogue. */
const isDescription = (url: string): boolean => url === '/docs' || url.startsWith('/docs/');

/** @throws if nobody has said who may use the route. */
function requireRule(route: RouteOptions): void {
  if (route.config?.access !== undefined) return;
  if (!isDescription(route.url) && route.method !== 'OPTIONS')
    throw new Error(
      `${String(route.method)} ${route.url} has no rule of access: see Access in src/http/access.ts`,
    );
  route.config = { ...route.config, access: 'anyone' };
}

/** Without a token, a refusal names no error (RFC 6750 §3.1). A refusal never says what is wrong with a token. */
function refusalOf(
  caller: KnownCaller | undefined,
  { headers, query, routeOptions: { config } }: FastifyRequest,
): Problem | undefined {
  if (!caller) {
    const error = headers.authorization === undefined ? '' : ', error="invalid_token"';
    return new Problem(401, 'unauthorized', 'The request needs a valid bearer token.', {
      headers: { 'www-authenticate': `Bearer realm="colophon"${error}` },
    });
  }
  const isDry = (query as { dryRun?: unknown }).dryRun === 'true';
  const needed: readonly (Access | undefined)[] =
    isDry && config.dryRun ? [config.access, config.dryRun] : [config.access];
  if (needed.every((scope) => caller.scopes.some((held) => held === scope))) return undefined;
  return new Problem(403, 'insufficient-scope', 'The token does not have the scope of this route.', {
    headers: {
      'www-authenticate': `Bearer realm="colophon", error="insufficient_scope", scope="${needed.join(' ')}"`,
    },
  });
}

/** Three parts of base64url. Whatever is longer or looks otherwise is no token, and is not parsed. */
function tokenOf({ headers: { authorization } }: FastifyRequest): string | undefined {
  if (authorization === undefined || authorization.length > MAX_TOKEN_LENGTH) return undefined;
  return /^Bearer +([\w-]+\.[\w-]+\.[\w-]+)$/i.exec(authorization)?.[1];
}

function claimedBy({ headers: { 'x-actor': actor } }: FastifyRequest): string {
  return typeof actor === 'string' && actor !== '' ? actor.slice(0, MAX_SUBJECT_LENGTH) : ANONYMOUS;
}
