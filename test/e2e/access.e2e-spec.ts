import { createHmac, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { importJWK, SignJWT } from 'jose';
import { Pool } from 'pg';
import { LocalTokens } from '../../src/access/local-tokens.js';
import { SCOPES, type Scope } from '../../src/http/access.js';
import { caughtUp } from '../support/catalogue.js';
import { start } from '../support/process.js';
import { open } from '../support/raw-http.js';
import { createService, type RequestOptions, type TestService } from '../support/service.js';

let service: TestService;
let pool: Pool;
let tokens: LocalTokens;
/** Of the operator, who may do everything. */
let first: string;
/** A token for each scope alone, of a subject with the name of the scope. */
let only: Record<Scope, string>;
beforeAll(async () => {
  service = await createService({ AUTH: 'tokens' });
  pool = new Pool({ connectionString: service.database.url, max: 1 });
  tokens = new LocalTokens(pool);
  const issue = async (scope: Scope) =>
    (await tokens.issue({ subject: scope, scopes: [scope], days: 1 })).token;
  first = /First token +(\S+)/.exec(service.running.output())?.[1] ?? '';
  only = Object.fromEntries(
    await Promise.all(SCOPES.map(async (scope) => [scope, await issue(scope)] as const)),
  ) as Record<Scope, string>;
});
afterAll(async () => {
  await pool.end();
  await service.stop();
});

const bearer = (token: string, headers: Record<string, string> = {}): RequestOptions => ({
  headers: { ...headers, authorization: `Bearer ${token}` },
});
const idOf = (token: string): string =>
  (JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { jti: string }).jti;

test('every route takes callers with its scope, and nobody else', async () => {
  const document = (await service.request('GET', '/docs/openapi.json')).body;
  expect(document.components.securitySchemes.token).toMatchObject({ type: 'http', scheme: 'bearer' });
  const open: string[] = [];
  const needed = new Set<string>();
  const dry: [string, string][] = [];
  for (const [template, operations] of Object.entries<any>(document.paths))
    for (const [method, { security, responses }] of Object.entries<any>(operations)) {
      const path = template.replaceAll(/\{\w+\}/g, '00000000-0000-4000-8000-000000000000');
      const ask = (options?: RequestOptions) => service.request(method.toUpperCase(), path, options);
      const scope: string | undefined = security?.[0].token[0];
      if (scope === undefined) {
        open.push(template);
        expect((await ask()).status).toBe(200);
        continue;
      }
      needed.add(scope);
      expect(Object.keys(responses)).toEqual(expect.arrayContaining(['401', '403']));
      for (const [held, token] of Object.entries(only)) {
        const { status, headers, body } = await ask(bearer(token));
        const refusal = headers.get('www-authenticate');
        if (held === scope)
          expect([template, [401, 403].includes(status), refusal]).toEqual([template, false, null]);
        else {
          expect([template, held, status]).toEqual([template, held, 403]);
          expect(refusal).toBe(`Bearer realm="colophon", error="insufficient_scope", scope="${scope}"`);
          expect(body.type).toBe('urn:colophon:problem:insufficient-scope');
        }
      }
      if (security.length > 1) {
        const scopes: Scope[] = security[1].token;
        dry.push([template, scopes.join(' ')]);
        const askDry = (token: string) =>
          service.request(method.toUpperCase(), `${path}?dryRun=true`, bearer(token));
        for (const token of scopes.map((one) => only[one])) {
          const { status, headers } = await askDry(token);
          const refusal = `Bearer realm="colophon", error="insufficient_scope", scope="${scopes.join(' ')}"`;
          expect([template, status, headers.get('www-authenticate')]).toEqual([template, 403, refusal]);
        }
        const { token } = await tokens.issue({ subject: 'both', scopes, days: 1 });
        expect([401, 403]).not.toContain((await askDry(token)).status);
      }
      const { status, headers } = await ask();
      expect([template, status, headers.get('www-authenticate')]).toEqual([
        template,
        401,
        'Bearer realm="colophon"',
      ]);
    }
  expect(dry.toSorted()).toEqual([
    ['/authors/{id}', 'write read'],
    ['/authors/{id}/merge', 'write read'],
    ['/changes/{id}/revert', 'write audit'],
    ['/imports', 'write read'],
  ]);
  expect(open.toSorted()).toEqual(['/', '/health/live', '/health/ready']);
  expect([...needed].toSorted()).toEqual([...SCOPES].toSorted());
});

test('HEAD needs what GET needs; the description, other methods and other paths are told to anyone', async () => {
  const statusOf = async (method: string, path: string) => (await service.request(method, path)).status;
  expect(await statusOf('HEAD', '/authors')).toBe(401);
  expect(await statusOf('GET', '/docs')).toBe(200);
  expect(await statusOf('PUT', '/authors')).toBe(405);
  expect(await statusOf('OPTIONS', '/authors')).toBe(204);
  expect(await statusOf('GET', '/nothing')).toBe(404);
});

test('the actor is the subject, and a person for whom it acts stands beside it', async () => {
  const add = (headers: Record<string, string>, token = only.write) =>
    service.request('POST', '/authors', { ...bearer(token, headers), body: { name: 'A' } });
  const other = await add({ 'x-actor': 'somebody' });
  expect([other.status, other.body.type]).toEqual([403, 'urn:colophon:problem:foreign-actor']);
  const { body } = await add({ 'x-actor': 'write', 'x-on-behalf-of': 'Zo%C3%AB' });
  const { id } = body;
  await caughtUp({ request: (method, path) => service.request(method, path, bearer(first)) });
  const history = await service.request('GET', `/audit/authors/${id}`, bearer(only.audit));
  expect(history.body.events).toEqual([expect.objectContaining({ actor: 'write', onBehalfOf: 'Zoë' })]);
  // A key of one subject is not the key of another.
  const key = { 'idempotency-key': 'k' };
  const [mine, again, theirs] = [await add(key), await add(key), await add(key, first)];
  expect(again.body.id).toBe(mine.body.id);
  expect(theirs.body.id).not.toBe(mine.body.id);
});

test('a token of the command line is valid until the command line revokes it', async () => {
  const run = async (...args: string[]) => {
    const running = start('dist/src/cli.js', ['token', ...args], service.env);
    return { code: await running.ended, output: running.output() };
  };
  const created = await run('--subject', 'importer', '--scopes', 'read,write', '--days', '30');
  const token = /^ey\S+$/m.exec(created.output)?.[0] ?? '';
  const get = () => service.request('GET', '/authors', bearer(token));
  expect((await get()).status).toBe(200);
  const revoked = await run('revoke', idOf(token));
  expect([revoked.code, revoked.output]).toEqual([
    0,
    expect.stringMatching(/importer: read, write, revoked 2/),
  ]);
  let answer = await get();
  while (answer.status === 200) answer = await get();
  expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([
    401,
    'Bearer realm="colophon", error="invalid_token"',
  ]);
});

test('a revoked token ends an open import: what follows is not done, and the last result says so', async () => {
  const { id, token } = await tokens.issue({ subject: 'importer', scopes: ['write'], days: 1 });
  const connection = open(service.url);
  const send = (line: object) => {
    const text = `${JSON.stringify(line)}\n`;
    connection.socket.write(`${text.length.toString(16)}\r\n${text}\r\n`);
  };
  connection.socket.write(
    `POST /imports HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\n` +
      'Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n',
  );
  send({ type: 'author', key: 'before', name: 'Before' });
  while (!connection.received().includes('"added"')) await new Promise(setImmediate);
  await tokens.revoke(id);
  // The token has no scope for this, so the answer is 403 as long as the token is valid.
  while ((await service.request('GET', '/authors', bearer(token))).status !== 401);
  for (const key of ['after', 'later']) send({ type: 'author', key, name: 'After' });
  const received = await connection.closed;
  expect(received.match(/"status":"\w+"/g)).toEqual(['"status":"added"', '"status":"failed"']);
  expect(received).toContain('"rule":"unauthorized"');
  await caughtUp({ request: (method, path) => service.request(method, path, bearer(first)) });
  for (const [key, count] of [
    ['before', 1],
    ['after', 0],
  ] as const)
    expect((await service.request('GET', `/authors?key=${key}`, bearer(only.read))).body.items).toHaveLength(
      count,
    );
});

test('no forged, expired, foreign or oversized token comes in, and none does harm', async () => {
  const count = Number(process.env['HOSTILE_TOKENS'] ?? 2_000);
  const { rows } = await pool.query<{ id: string; public_key: { x: string } }>(
    'select id, public_key from access.keys',
  );
  const [{ id: kid, public_key: publicKey } = { id: '', public_key: { x: '' } }] = rows;
  const secret = generateKeyPairSync('ed25519').privateKey;
  const now = Math.floor(Date.now() / 1_000);
  const claims = {
    iss: 'colophon',
    aud: 'colophon',
    sub: 'operator',
    scope: 'read',
    iat: now,
    exp: now + 600,
  };
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = (header: object, payload: object) => {
    const input = `${part({ kid, typ: 'JWT', ...header })}.${part({ jti: idOf(only.read), ...claims, ...payload })}`;
    return `${input}.${sign(null, Buffer.from(input), secret).toString('base64url')}`;
  };
  const [header = '', payload = '', signature = ''] = only.read.split('.');
  const kinds: ((n: number) => string)[] = [
    (n) => signed({ alg: 'EdDSA' }, { n }),
    (n) => signed({ alg: 'none' }, { n }).replace(/[^.]*$/, 'AA'),
    (n) => `${part({ alg: 'none', n })}.${payload}.`,
    (n) => {
      const input = `${part({ alg: 'HS256', kid, n })}.${payload}`;
      return `${input}.${createHmac('sha256', Buffer.from(publicKey.x, 'base64url')).update(input).digest('base64url')}`;
    },
    (n) => signed({ alg: 'EdDSA', jwk: publicKey, n }, {}),
    (n) => signed({ alg: 'EdDSA', crit: ['n'], n }, {}),
    (n) => signed({ alg: 'RS256', kid: `../${n}` }, {}),
    (n) => `${header}.${part({ ...claims, scope: SCOPES.join(' '), n })}.${signature}`,
    (n) => only.read.slice(0, (n * 7) % only.read.length),
    (n) => `${header}.${payload}.${signature.slice(0, -2)}${String(n % 90).padStart(2, '0')}`,
    (n) => signed({ alg: 'EdDSA' }, { iss: 'https://elsewhere.example', n }),
    () => `${header}.${'A'.repeat(8_000)}.${signature}`,
    (n) => `${header}.${Buffer.from('['.repeat(3_000 + (n % 100))).toString('base64url')}.${signature}`,
    () => `${header}.${payload}.${signature}.${signature}.${signature}`,
    (n) => randomBytes(20 + (n % 500)).toString('base64url'),
    () => '',
  ];
  // Signed by the key itself: what only the claims refuse.
  const flawed = await Promise.all(
    [
      { exp: now - 60 },
      { aud: 'other' },
      { iss: 'https://elsewhere.example' },
      { nbf: now + 600 },
      { sub: ' ' },
      { sub: 'a\nb' },
      { sub: 'x'.repeat(300) },
      { jti: undefined },
      { exp: undefined },
      { sub: undefined },
    ].map((claim) => signedByColophon(kid, { ...claims, jti: idOf(only.read), ...claim })),
  );
  // The control: the same, without a flaw, comes in.
  const control = await signedByColophon(kid, { ...claims, jti: idOf(only.read) });
  expect((await service.request('GET', '/authors', bearer(control))).status).toBe(200);

  const counts = new Map<number, number>();
  let n = 0;
  const attack = async () => {
    while (n < count) {
      n += 1;
      const token = n <= flawed.length ? (flawed[n - 1] ?? '') : (kinds[n % kinds.length]?.(n) ?? '');
      const { status } = await service.request('GET', '/authors', bearer(token));
      counts.set(status, (counts.get(status) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: 16 }, attack));
  expect([...counts]).toEqual([[401, count]]);
  for (const authorization of [
    `Basic ${Buffer.from('a:b').toString('base64')}`,
    only.read,
    `Bearer${only.read}`,
    `Bearer ${only.read} ${only.read}`,
    `Bearer ${only.read}, Bearer ${only.read}`,
  ])
    expect((await service.request('GET', '/authors', { headers: { authorization } })).status).toBe(401);
  const huge = await service.request('GET', '/authors', bearer('A'.repeat(100_000)));
  expect(huge.status).toBe(431);
  expect((await service.request('GET', `/authors?access_token=${only.read}`)).status).toBe(401);
  expect((await service.request('GET', '/authors', bearer(only.read))).status).toBe(200);
});

async function signedByColophon(kid: string, claims: Record<string, unknown>): Promise<string> {
  const { rows } = await pool.query<{ key: object }>('select private_key as key from access.keys');
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'EdDSA', kid })
    .sign(await importJWK(rows[0]?.key ?? {}, 'EdDSA'));
}

test('a token is in no output', () => {
  const shown = service.running.output();
  for (const token of Object.values(only)) expect(shown).not.toContain(token);
});
