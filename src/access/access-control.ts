import { hash } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { Logger } from '@nestjs/common';
import { decodeJwt } from 'jose';
import { SCOPES, type Authenticate, type KnownCaller } from '../http/access.js';
import { Problem } from '../http/problem.js';
import { createPool } from '../postgres/database.js';
import { migrate } from '../postgres/migrate.js';
import { POOLS } from '../postgres/pools.js';
import { LOCAL_ISSUER, LocalTokens, MIGRATIONS } from './local-tokens.js';
import { ProviderTokens, type Provider } from './provider-tokens.js';

/** A revocation works on every instance after so long. */
const REVOCATIONS_MS = 2_000;
/** A provider that takes back a key is heard after so long; one that was away, after the second time. */
const KEYS_MS = 600_000;
const KEYS_AGAIN_MS = 15_000;
/** Verified tokens are remembered by digest, 200 bytes each. A verification takes 0.1 ms. */
const MAX_VERIFIED = 10_000;

const FIRST = { subject: 'operator', scopes: SCOPES, days: 30 };

/** Who may come in: tells callers by their tokens. */
export class AccessControl {
  /** Only of tokens that are valid, so forged tokens can't drive out others. */
  private verified = new Map<string, KnownCaller>();
  private readonly logger = new Logger('access');
  private readonly closing = new AbortController();
  private readonly provider: ProviderTokens | undefined;
  private readonly revocations: Promise<void>;

  private constructor(
    private readonly local: LocalTokens,
    provider: Provider | undefined,
    private readonly end: () => Promise<void>,
    private readonly revocationsMs: number,
  ) {
    this.provider = provider && new ProviderTokens(provider, () => (this.verified = new Map()));
    this.revocations = this.followRevocations();
    void this.followKeys();
  }

  /**
   * @param provider whose tokens are accepted beside those of `colophon token`.
   * @param revocationsMs how often revocations are read, in milliseconds.
   * @throws OperatorError if the database can't be used.
   */
  static async open(
    databaseUrl: string,
    provider: Provider | undefined,
    signal?: AbortSignal,
    revocationsMs = REVOCATIONS_MS,
  ): Promise<AccessControl> {
    await migrate(databaseUrl, signal, MIGRATIONS);
    const pool = createPool(databaseUrl, POOLS.access);
    try {
      const local = new LocalTokens(pool);
      await local.refresh();
      return new AccessControl(local, provider, () => pool.end(), revocationsMs);
    } catch (error) {
      await pool.end();
      throw error;
    }
  }

  /** @returns a token that may do everything, if there is no provider and nobody has made a token before. */
  async firstToken(): Promise<string | undefined> {
    if (this.provider || !(await this.local.makeKey())) return undefined;
    const { token } = await this.local.issue(FIRST);
    await this.local.refresh();
    return token;
  }

  readonly authenticate: Authenticate = (token) => {
    const digest = hash('sha256', token, 'base64url');
    const caller = this.verified.get(digest);
    if (!caller) return this.verify(token, digest);
    if (caller.isValid()) return caller;
    this.verified.delete(digest);
    return undefined;
  };

  async close(): Promise<void> {
    this.closing.abort();
    await this.revocations;
    await this.end();
  }

  private async verify(token: string, digest: string): Promise<KnownCaller | undefined> {
    // If the keys change meanwhile, the caller is remembered where nobody looks.
    const { verified } = this;
    const caller = await this.prove(token);
    if (!caller?.isValid()) return undefined;
    if (verified.size >= MAX_VERIFIED) {
      const [oldest = ''] = verified.keys();
      verified.delete(oldest);
    }
    verified.set(digest, caller);
    return caller;
  }

  /** A token that names our issuer is ours or forged, so no issuer can speak for the other. */
  private async prove(token: string): Promise<KnownCaller | undefined> {
    try {
      const issuer = decodeJwt(token).iss === LOCAL_ISSUER ? this.local : this.provider;
      return await issuer?.prove(token);
    } catch (error) {
      // Whatever else a token does to its verification, it proves nothing.
      if (error instanceof Problem) throw error;
      return undefined;
    }
  }

  private async followRevocations(): Promise<void> {
    let failed = false;
    while (await this.pause(this.revocationsMs))
      try {
        if (await this.local.refresh()) this.verified = new Map();
        failed = false;
      } catch (error) {
        if (!failed) this.logger.warn(`revocations of tokens can't be read: ${(error as Error).message}`);
        failed = true;
      }
  }

  private async followKeys(): Promise<void> {
    if (!this.provider) return;
    let failure: unknown;
    do {
      failure = await this.provider.refresh();
      if (failure !== undefined)
        this.logger.warn(`the keys of the identity provider can't be read: ${inWords(failure)}`);
    } while (await this.pause(failure === undefined ? KEYS_MS : KEYS_AGAIN_MS));
  }

  /** @returns whether the service goes on. */
  private async pause(milliseconds: number): Promise<boolean> {
    const { signal } = this.closing;
    await setTimeout(milliseconds, undefined, { signal, ref: false }).catch(() => undefined);
    return !signal.aborted;
  }
}

const inWords = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
};
