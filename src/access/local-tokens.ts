import { join } from 'node:path';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, jwtVerify, SignJWT } from 'jose';
import type { JWK } from 'jose';
import type { Queryable } from '../postgres/database.js';
import type { Migrations } from '../postgres/migrate.js';
import type { KnownCaller, Scope } from '../http/access.js';
import { newId } from '../ids.js';
import { callerOf, CLOCK_TOLERANCE_S } from './proof.js';

export const MIGRATIONS: Migrations = {
  schema: 'access',
  dir: join(import.meta.dirname, 'migrations'),
};

/** Issuer and audience of tokens of `colophon token`. No identity provider has this issuer, since theirs is a URL. */
export const LOCAL_ISSUER = 'colophon';
const ALGORITHM = 'EdDSA';

/** Longest validity of a token. */
export const MAX_DAYS = 3_650;

/** What a token is issued for. */
export interface Grant {
  readonly subject: string;
  readonly scopes: readonly Scope[];
  readonly days: number;
}

export interface Issued {
  readonly id: string;
  readonly token: string;
}

export interface TokenRow {
  readonly id: string;
  readonly subject: string;
  readonly scopes: readonly Scope[];
  readonly expires_at: Date;
  readonly revoked_at: Date | null;
}

interface Key {
  readonly id: string;
  readonly publicKey: JWK;
}

/** Tokens that Colophon signs itself. The key and the revocations are in the database, so all instances know them. */
export class LocalTokens {
  private key: Key | undefined;
  private revoked: ReadonlySet<string> = new Set();

  /** @param database that {@link MIGRATIONS} were applied to. */
  constructor(private readonly database: Queryable) {}

  /** @returns whether this call made the key, because there was none. */
  async makeKey(): Promise<boolean> {
    const pair = await generateKeyPair(ALGORITHM, { crv: 'Ed25519', extractable: true });
    const [publicKey, privateKey] = await Promise.all([
      exportJWK(pair.publicKey),
      exportJWK(pair.privateKey),
    ]);
    const id = await calculateJwkThumbprint(publicKey);
    const { rowCount } = await this.database.query(
      'insert into access.keys (id, public_key, private_key) values ($1, $2, $3) on conflict do nothing',
      [id, JSON.stringify(publicKey), JSON.stringify(privateKey)],
    );
    return rowCount === 1;
  }

  /** Signs a token. Nobody can show the token again. */
  async issue({ subject, scopes, days }: Grant): Promise<Issued> {
    await this.makeKey();
    const id = newId();
    const { rows } = await this.database.query<{ kid: string; key: JWK; issued: number; expires: number }>(
      `with token as (
         insert into access.tokens (id, subject, scopes, expires_at)
         values ($1, $2, $3, now() + make_interval(days => $4)) returning issued_at, expires_at)
       select keys.id as kid, private_key as key,
              floor(extract(epoch from issued_at))::float8 as issued, floor(extract(epoch from expires_at))::float8 as expires
       from access.keys, token`,
      [id, subject, scopes, days],
    );
    const [row] = rows;
    if (!row) throw new Error('the key of the tokens was deleted meanwhile');
    const token = await new SignJWT({ scope: scopes.join(' ') })
      .setProtectedHeader({ alg: ALGORITHM, typ: 'JWT', kid: row.kid })
      .setIssuer(LOCAL_ISSUER)
      .setAudience(LOCAL_ISSUER)
      .setSubject(subject)
      .setJti(id)
      .setIssuedAt(row.issued)
      .setExpirationTime(row.expires)
      .sign(await importJWK(row.key, ALGORITHM));
    return { id, token };
  }

  /**
   * Revokes a token, also one that the table doesn't know: an older backup may have been restored, with the key that
   * signed the token. A second revocation changes nothing.
   * @param id a UUID.
   */
  async revoke(id: string): Promise<readonly TokenRow[]> {
    const { rows } = await this.database.query<TokenRow>(
      `insert into access.tokens (id, subject, scopes, expires_at, revoked_at)
       values ($1, 'unknown subject', '{}', now() + make_interval(days => $2), now())
       on conflict (id) do update set revoked_at = coalesce(tokens.revoked_at, now())
       returning ${COLUMNS}`,
      [id, MAX_DAYS],
    );
    return rows;
  }

  /** Tokens that have not expired, the oldest first. */
  async list(): Promise<readonly TokenRow[]> {
    const { rows } = await this.database.query<TokenRow>(
      `select ${COLUMNS} from access.tokens where expires_at > now() order by issued_at, id`,
    );
    return rows;
  }

  /**
   * Reads key and revocations.
   * @returns whether the key is another than before.
   */
  async refresh(): Promise<boolean> {
    const { rows } = await this.database.query<{ id: string | null; key: JWK; revoked: string[] }>(
      `select keys.id, keys.public_key as key, array(
         select id::text from access.tokens
         where revoked_at is not null and expires_at > now() - interval '1 hour') as revoked
       from (select) as one left join access.keys on true`,
    );
    const [{ id, key, revoked } = { id: null, key: {}, revoked: [] }] = rows;
    this.revoked = new Set(revoked);
    const before = this.key?.id;
    this.key = id === null ? undefined : { id, publicKey: key };
    return this.key?.id !== before;
  }

  /** @throws if the token is not one of ours, or is no longer valid. Revocations are not asked. */
  async prove(token: string): Promise<KnownCaller | undefined> {
    const { key } = this;
    if (!key) return undefined;
    const { payload } = await jwtVerify(token, key.publicKey, {
      algorithms: [ALGORITHM],
      issuer: LOCAL_ISSUER,
      audience: LOCAL_ISSUER,
      requiredClaims: ['sub', 'exp', 'jti'],
      clockTolerance: CLOCK_TOLERANCE_S,
    });
    const { jti } = payload;
    return callerOf(payload, () => jti === undefined || this.revoked.has(jti) || this.key?.id !== key.id);
  }
}

const COLUMNS = 'id, subject, scopes, expires_at, revoked_at';
