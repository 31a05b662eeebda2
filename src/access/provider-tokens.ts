import { createLocalJWKSet, errors, jwtVerify } from 'jose';
import type { JWTVerifyGetKey } from 'jose';
import { z } from 'zod';
import type { KnownCaller } from '../http/access.js';
import { unavailable } from '../http/problem.js';
import { isSafeUrl } from '../loopback.js';
import { callerOf, CLOCK_TOLERANCE_S } from './proof.js';

/** All of public keys: a token can't choose a shared secret, or no signature. */
const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
];
/** For discovery and keys together. */
const TIMEOUT_MS = 5_000;
/** A set of keys has some kilobytes. */
const MAX_BYTES = 1_048_576;
/** A token with an unknown key makes us ask the provider again, but not more often. */
const COOLDOWN_MS = 10_000;
/** Requests that wait for the provider at once. Anybody can send tokens with unknown keys. */
const MAX_WAITING = 100;

export interface Provider {
  /** The URL below which the provider tells of itself; also `iss` of its tokens. */
  readonly issuer: string;
  /** One of `aud` of its tokens. */
  readonly audience: string;
}

const discovered = z.object({ issuer: z.string(), jwks_uri: z.url() });
const keySet = z.object({ keys: z.array(z.looseObject({ kty: z.string() })) });
const PUBLIC = ['RSA', 'EC', 'OKP'];

/**
 * Tokens of an identity provider. The keys are found by OpenID Connect Discovery. They stay known while the provider is
 * away, until the provider answers with others.
 */
export class ProviderTokens {
  private keys: JWTVerifyGetKey | undefined;
  private known = '';
  private kids: ReadonlySet<unknown> = new Set();
  private triedAt = -Infinity;
  private failure: unknown;
  private trying: Promise<void> | undefined;
  private waiting = 0;

  /** @param onOtherKeys is called when the provider has other keys than before. */
  constructor(
    private readonly provider: Provider,
    private readonly onOtherKeys: () => void = () => undefined,
    private readonly cooldownMs = COOLDOWN_MS,
  ) {}

  /**
   * @throws if the token is not one of the provider's, or is no longer valid.
   * @throws Problem 503 if the token has an unknown key, and the provider is away or too many requests wait for it.
   */
  async prove(token: string): Promise<KnownCaller | undefined> {
    const { payload, protectedHeader } = await jwtVerify(token, this.keyOf, {
      algorithms: ALGORITHMS,
      issuer: this.provider.issuer,
      audience: this.provider.audience,
      requiredClaims: ['sub', 'exp'],
      clockTolerance: CLOCK_TOLERANCE_S,
    });
    const { kid } = protectedHeader;
    return callerOf(payload, () => kid !== undefined && !this.kids.has(kid));
  }

  /**
   * Reads the keys. Callers at the same time share one try. Never throws: keys that are known stay known.
   * @returns the error, if the try failed.
   */
  async refresh(): Promise<unknown> {
    this.trying ??= this.read()
      .then(
        () => (this.failure = undefined),
        (error: unknown) => (this.failure = error),
      )
      .then(() => {
        this.triedAt = performance.now();
        this.trying = undefined;
      });
    await this.trying;
    return this.failure;
  }

  private readonly keyOf: JWTVerifyGetKey = async (header, token) => {
    const find = async () => {
      if (!this.keys) throw new errors.JWKSNoMatchingKey();
      return this.keys(header, token);
    };
    try {
      return await find();
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
    }
    // The provider may have a new key.
    const due = performance.now() - this.triedAt >= this.cooldownMs;
    const crowded = due && this.waiting >= MAX_WAITING;
    if (due && !crowded) {
      this.waiting += 1;
      await this.refresh();
      this.waiting -= 1;
    }
    try {
      return await find();
    } catch (error) {
      if ((this.failure === undefined && !crowded) || !(error instanceof errors.JWKSNoMatchingKey))
        throw error;
      throw unavailable('The identity provider does not answer, so the key of the token is not known.');
    }
  };

  private async read(): Promise<void> {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const { issuer } = this.provider;
    const about = discovered.parse(
      await getJson(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`, signal),
    );
    if (about.issuer !== issuer) throw new Error(`the provider says that its issuer is ${about.issuer}`);
    if (!isSafeUrl(about.jwks_uri)) throw new Error('the keys of the provider are not at an https address');
    const { keys: all } = keySet.parse(await getJson(about.jwks_uri, signal));
    const keys = all.filter(({ kty }) => PUBLIC.includes(kty));
    // A mistake of the provider must not lock everybody out.
    if (keys.length === 0) throw new Error('the provider has no public keys');
    const text = JSON.stringify(keys);
    if (text === this.known) return;
    this.keys = createLocalJWKSet({ keys });
    this.known = text;
    this.kids = new Set(keys.map(({ kid }) => kid));
    this.onOtherKeys();
  }
}

async function getJson(url: string, signal: AbortSignal): Promise<unknown> {
  const response = await fetch(url, { signal, redirect: 'error', headers: { accept: 'application/json' } });
  if (!response.ok || !response.body) {
    await response.body?.cancel();
    throw new Error(`the provider answers ${response.status} at ${url}`);
  }
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (bytes > MAX_BYTES) throw new Error(`the provider answers more than ${MAX_BYTES} bytes at ${url}`);
    chunks.push(chunk);
  }
  return JSON.parse(Buffer.concat(chunks).toString()) as unknown;
}
