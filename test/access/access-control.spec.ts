import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { jest } from '@jest/globals';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from 'jose';
import { Pool } from 'pg';
import { AccessControl } from '../../src/access/access-control.js';
import { LocalTokens } from '../../src/access/local-tokens.js';
import { ProviderTokens, type Provider } from '../../src/access/provider-tokens.js';
import { createToken } from '../../src/cli/token.js';
import { loadConfig, requireAccessControl } from '../../src/config.js';
import { SCOPES } from '../../src/http/access.js';
import { Problem } from '../../src/http/problem.js';
import { createDatabase, type TestDatabase } from '../support/database.js';

/** An identity provider on the loopback interface. */
class TestProvider {
  keys: JWK[] = [];
  away = false;
  asked = 0;
  metadata: object | undefined;
  private held = Promise.resolve();
  private readonly server: Server = createServer((request, response) => {
    this.asked += 1;
    if (this.away) return void response.writeHead(503).end();
    const { issuer } = this;
    const about = this.metadata ?? { issuer, jwks_uri: `${issuer}/keys` };
    const answer = JSON.stringify(request.url === '/keys' ? { keys: this.keys } : about);
    return void this.held.then(() => response.end(answer));
  });
  private readonly signers = new Map<string, { alg: string; key: CryptoKey }>();

  get issuer(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  get settings(): Provider {
    return { issuer: this.issuer, audience: 'books' };
  }

  /** @returns lets the answers go. */
  holdAnswers(): () => void {
    let letGo = () => undefined as void;
    this.held = new Promise((resolve) => (letGo = resolve));
    return letGo;
  }

  async start(): Promise<this> {
    await once(this.server.listen(0, '127.0.0.1'), 'listening');
    await this.addKey('a', 'ES256');
    return this;
  }

  async addKey(kid: string, alg: string): Promise<void> {
    const { publicKey, privateKey } = await generateKeyPair(alg);
    this.keys = [...this.keys, { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' }];
    this.signers.set(kid, { alg, key: privateKey });
  }

  sign(claims: object = {}, kid = 'a'): Promise<string> {
    const signer = this.signers.get(kid);
    if (!signer) throw new Error(`no key ${kid}`);
    const now = Math.floor(Date.now() / 1_000);
    const valid = {
      iss: this.issuer,
      aud: ['books', 'other'],
      sub: 'clerk',
      scope: 'openid read',
      exp: now + 60,
    };
    return new SignJWT({ ...valid, ...claims }).setProtectedHeader({ alg: signer.alg, kid }).sign(signer.key);
  }

  stop(): void {
    this.server.close();
    this.server.closeAllConnections();
  }
}

let provider: TestProvider;
beforeEach(async () => {
  provider = await new TestProvider().start();
});
afterEach(() => provider.stop());

const refused = (promise: Promise<unknown>) =>
  promise.then(
    (proof) => proof === undefined,
    (error: unknown) => !(error instanceof Problem),
  );

describe('tokens of a provider', () => {
  test('prove subject and scopes', async () => {
    const tokens = new ProviderTokens(provider.settings);
    expect(await tokens.prove(await provider.sign())).toMatchObject({
      subject: 'clerk',
      scopes: ['read'],
      verified: true,
    });
    const listed = await tokens.prove(await provider.sign({ scope: undefined, scp: ['write', 'audit'] }));
    expect(listed?.scopes).toEqual(['write', 'audit']);
    // As Microsoft Entra writes it; an empty claim beside it says nothing.
    const blanks = await tokens.prove(await provider.sign({ scope: '', scp: 'write audit' }));
    expect(blanks?.scopes).toEqual(['write', 'audit']);
  });

  test.each([
    ['another issuer', { iss: 'https://elsewhere.example' }],
    ['another audience', { aud: 'other' }],
    ['no audience', { aud: undefined }],
    ['no end', { exp: undefined }],
    ['an end in the past', { exp: 1_000_000_000 }],
    ['a begin in the future', { nbf: 99_999_999_999 }],
    ['no subject', { sub: undefined }],
    ['a subject that no event can name', { sub: 'a\nb' }],
    ['a subject with an invisible mark', { sub: 'cle\u200brk' }],
    ['a subject that turns around', { sub: '\u202ekrelc' }],
  ])('with %s prove nothing', async (_, claims) => {
    expect(await refused(new ProviderTokens(provider.settings).prove(await provider.sign(claims)))).toBe(
      true,
    );
  });

  test('are not signed by a public key as a secret', async () => {
    const [key] = provider.keys;
    const forged = await new SignJWT({ iss: provider.issuer, aud: 'books', sub: 'x', exp: 99_999_999_999 })
      .setProtectedHeader({ alg: 'HS256', kid: 'a' })
      .sign(Buffer.from(JSON.stringify(key)));
    const tokens = new ProviderTokens(provider.settings);
    expect(await refused(tokens.prove(forged))).toBe(true);
    // Not even if the provider offers a secret among its keys.
    provider.keys = [...provider.keys, { kty: 'oct', kid: 'secret', k: 'c2VjcmV0', alg: 'HS256' }];
    await tokens.refresh();
    expect(await refused(tokens.prove(forged))).toBe(true);
  });

  test('have keys that rotate: a new one is found, and one that was taken back is forgotten', async () => {
    let changes = 0;
    const tokens = new ProviderTokens(provider.settings, () => (changes += 1), 0);
    const old = await provider.sign();
    expect(await tokens.prove(old)).toBeDefined();
    await provider.addKey('b', 'RS256');
    expect(await tokens.prove(await provider.sign({}, 'b'))).toBeDefined();
    expect(changes).toBe(2);
    const caller = await tokens.prove(old);
    provider.keys = provider.keys.slice(1);
    expect(caller?.isValid()).toBe(true);
    expect(await tokens.refresh()).toBeUndefined();
    expect(caller?.isValid()).toBe(false);
    expect(await refused(tokens.prove(old))).toBe(true);
  });

  test('are verified by known keys while the provider is away; a token of an unknown key has to wait', async () => {
    const tokens = new ProviderTokens(provider.settings, undefined, 0);
    const unknown = async () => tokens.prove(await provider.sign({}, 'b'));
    provider.away = true;
    await provider.addKey('b', 'ES256');
    const early = await tokens.prove(await provider.sign()).catch((error: unknown) => error);
    expect(early).toMatchObject({ status: 503, extra: { headers: { 'retry-after': '1' } } });
    provider.away = false;
    provider.keys = provider.keys.slice(0, 1);
    expect(await tokens.prove(await provider.sign())).toBeDefined();
    provider.away = true;
    await expect(unknown()).rejects.toMatchObject({ status: 503 });
    expect(await tokens.prove(await provider.sign())).toBeDefined();
    provider.away = false;
    expect(await refused(unknown())).toBe(true);
  });

  test('of unknown keys do not make us ask the provider again and again', async () => {
    const tokens = new ProviderTokens(provider.settings);
    await provider.addKey('b', 'ES256');
    provider.keys = provider.keys.slice(0, 1);
    await tokens.refresh();
    const { asked } = provider;
    for (let n = 0; n < 20; n += 1)
      expect(await refused(tokens.prove(await provider.sign({}, 'b')))).toBe(true);
    expect(provider.asked).toBe(asked);
  });

  test('of unknown keys wait for a slow provider in small numbers; the others are told at once', async () => {
    const tokens = new ProviderTokens(provider.settings, undefined, 0);
    const good = await provider.sign();
    expect(await tokens.prove(good)).toBeDefined();
    await provider.addKey('b', 'ES256');
    const unknown = await provider.sign({}, 'b');
    const answer = provider.holdAnswers();
    const crowd = Array.from({ length: 150 }, () => tokens.prove(unknown).catch((error: unknown) => error));
    const told: unknown[] = [];
    for (const one of crowd) void one.then((outcome) => told.push(outcome));
    while (told.length < 50) await turn();
    expect(await tokens.prove(good)).toBeDefined();
    expect(told).toEqual(Array.from({ length: 50 }, () => expect.objectContaining({ status: 503 })));
    answer();
    const outcomes = await Promise.all(crowd);
    expect(outcomes.filter((outcome) => !(outcome instanceof Error))).toHaveLength(100);
  });

  test('are believed only if the provider tells of itself at its own address, with keys', async () => {
    const tokens = new ProviderTokens(provider.settings);
    for (const metadata of [
      { issuer: 'https://elsewhere.example', jwks_uri: `${provider.issuer}/keys` },
      { issuer: provider.issuer, jwks_uri: 'http://elsewhere.example/keys' },
      { issuer: provider.issuer },
      { issuer: provider.issuer, jwks_uri: `${provider.issuer}/keys`, more: 'x'.repeat(2_000_000) },
    ]) {
      provider.metadata = metadata;
      expect(await tokens.refresh()).toBeInstanceOf(Error);
    }
    provider.metadata = undefined;
    const { keys } = provider;
    provider.keys = [];
    expect(await tokens.refresh()).toBeInstanceOf(Error);
    provider.keys = keys;
    expect(await tokens.refresh()).toBeUndefined();
  });
});

describe('access control', () => {
  let database: TestDatabase;
  let pool: Pool;
  const opened: AccessControl[] = [];
  beforeAll(async () => {
    database = await createDatabase();
    pool = new Pool({ connectionString: database.url, max: 1 });
  });
  afterEach(async () => {
    for (const one of opened.splice(0)) await one.close();
  });
  afterAll(async () => {
    await pool.end();
    await database.drop();
  });
  const open = async (from?: Provider) => {
    const control = await AccessControl.open(database.url, from, undefined, 50);
    opened.push(control);
    return { control, firstToken: await control.firstToken() };
  };

  test('makes the first token once, and revokes tokens on every instance', async () => {
    const [one, two] = [await open(), await open()];
    expect([typeof one.firstToken, two.firstToken]).toEqual(['string', undefined]);
    const first = one.firstToken ?? '';
    const controls = [one.control, two.control];
    for (const control of controls)
      expect(await control.authenticate(first)).toMatchObject({ subject: 'operator', scopes: SCOPES });
    // The second time, the answer is there at once.
    expect(one.control.authenticate(first)).toMatchObject({ subject: 'operator' });

    const tokens = new LocalTokens(pool);
    const { id, token } = await tokens.issue({ subject: 's', scopes: ['read'], days: 1 });
    for (const control of controls) expect(await control.authenticate(token)).toMatchObject({ subject: 's' });
    const caller = await one.control.authenticate(token);
    expect(caller?.isValid()).toBe(true);
    await tokens.revoke(id);
    for (const control of controls) while (await control.authenticate(token)) await turn();
    expect(caller?.isValid()).toBe(false);
    // Without its key, no token is valid.
    const operator = await one.control.authenticate(first);
    expect(operator?.isValid()).toBe(true);
    await pool.query('delete from access.keys');
    for (const control of controls) while (await control.authenticate(first)) await turn();
    expect(operator?.isValid()).toBe(false);
  });

  test('revokes a token whose row an older backup has not', async () => {
    const { control } = await open();
    const tokens = new LocalTokens(pool);
    const { id, token } = await tokens.issue({ subject: 's', scopes: ['read'], days: 1 });
    await pool.query('delete from access.tokens where id = $1', [id]);
    while (!(await control.authenticate(token))) await turn();
    for (let n = 0; n < 2; n += 1)
      expect(await tokens.revoke(id)).toEqual([
        expect.objectContaining({ id, revoked_at: expect.any(Date) }),
      ]);
    while (await control.authenticate(token)) await turn();
  });

  test('takes tokens of a provider and of its own, each for what it is', async () => {
    const { control, firstToken } = await open(provider.settings);
    expect(firstToken).toBeUndefined();
    const own = await new LocalTokens(pool).issue({ subject: 'own', scopes: ['write'], days: 1 });
    while (!(await control.authenticate(own.token))) await turn();
    expect(await control.authenticate(await provider.sign())).toMatchObject({ subject: 'clerk' });
    // The provider can't speak for us.
    const impostor = await provider.sign({ iss: 'colophon', aud: 'colophon', jti: own.id });
    expect(await control.authenticate(impostor)).toBeUndefined();
    for (const text of ['a.b.c', 'e30.e30.e30', `${'A'.repeat(4_000)}.e30.e30`])
      expect(await control.authenticate(text)).toBeUndefined();
  });

  test('forgets verified tokens when they expire', async () => {
    const { control } = await open(provider.settings);
    const now = Date.now();
    const token = await provider.sign({ exp: Math.floor(now / 1_000) + 60 });
    // The first answer may be forgotten, because the keys of the provider are new.
    await control.authenticate(token);
    const caller = await control.authenticate(token);
    expect(caller?.isValid()).toBe(true);
    const clock = jest.spyOn(Date, 'now').mockReturnValue(now + 70_000);
    expect(caller?.isValid()).toBe(false);
    expect(control.authenticate(token)).toBeUndefined();
    clock.mockRestore();
  });
});

describe('settings', () => {
  const load = (env: Record<string, string>) => loadConfig(env);

  test('a host that other machines can reach needs access control, or AUTH=none', () => {
    for (const host of ['127.0.0.1', '127.8.8.8', 'localhost', 'LOCALHOST', '::1', '[::1]'])
      expect(() => requireAccessControl(load({ HOST: host }))).not.toThrow();
    for (const host of [
      '0.0.0.0',
      '::',
      '192.0.2.1',
      'books.example',
      'localhost.example',
      // A name server may have any address for it.
      'a.localhost',
      '::ffff:192.0.2.1',
      '0',
    ]) {
      expect(() => requireAccessControl(load({ HOST: host }))).toThrow(
        `HOST: other machines can reach ${host}`,
      );
      for (const env of [
        { AUTH: 'none' },
        { AUTH: 'tokens' },
        { AUTH_ISSUER: 'https://id.example', AUTH_AUDIENCE: 'books' },
      ])
        expect(() => requireAccessControl(load({ HOST: host, ...env }))).not.toThrow();
    }
  });

  test('only callers of this machine, without a proxy, have no limit by default', () => {
    const limits = (env: Record<string, string>) => {
      const { requestsPerAddress, requestsPerSubject } = load(env);
      return [requestsPerAddress, requestsPerSubject];
    };
    expect(limits({})).toEqual([0, 0]);
    expect(limits({ HOST: '0.0.0.0' })).toEqual([60_000, 60_000]);
    expect(limits({ TRUSTED_PROXIES: '127.0.0.1' })).toEqual([60_000, 60_000]);
    expect(limits({ TRUSTED_PROXIES: '127.0.0.1', REQUESTS_PER_ADDRESS: '0' })).toEqual([0, 60_000]);
  });

  test('name a provider fully, and safely', () => {
    expect(() => load({ AUTH_ISSUER: 'https://id.example' })).toThrow(/AUTH_AUDIENCE/);
    expect(() => load({ AUTH_AUDIENCE: 'books' })).toThrow(/AUTH_ISSUER/);
    expect(() => load({ AUTH_ISSUER: 'http://id.example', AUTH_AUDIENCE: 'books' })).toThrow(/https/);
    expect(() => load({ AUTH: 'none', AUTH_ISSUER: 'https://id.example', AUTH_AUDIENCE: 'books' })).toThrow(
      /AUTH/,
    );
    expect(() => load({ AUTH: 'maybe' })).toThrow(/AUTH/);
  });

  test('a token of the command line has known scopes, a plain subject and an end', async () => {
    const token = { subject: 's', scopes: ['read'], days: 1 };
    await expect(createToken({ ...token, scopes: ['read', 'all'] })).rejects.toThrow(/only read, write/);
    for (const subject of [' ', 'cle\u200brk', '\u202ekrelc'])
      await expect(createToken({ ...token, subject })).rejects.toThrow(/--subject/);
    for (const days of [0, 1.5, NaN, 9_999])
      await expect(createToken({ ...token, days })).rejects.toThrow(/--days/);
  });
});
