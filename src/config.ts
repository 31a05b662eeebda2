import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { z } from 'zod';
import { OperatorError } from './errors.js';
import { isLoopback, isSafeUrl } from './loopback.js';
import { MAX_TEXT_LENGTH } from './text.js';

const wholeNumber = (min: number, max: number) =>
  z.string().regex(/^\d+$/, 'must be a whole number').transform(Number).pipe(z.number().min(min).max(max));

const integer = (fallback: number, min: number, max: number) => wholeNumber(min, max).default(fallback);

/** Items between commas; blanks around an item don't count. */
const list = (item: z.ZodType<string, string>) =>
  z
    .string()
    .transform((text) => text.split(',').flatMap((part) => part.trim() || []))
    .pipe(z.array(item))
    .default([]);

const hostName = z
  .string()
  .regex(/^(\*|[\w-]+(\.[\w-]+)*)$/, 'must be host names without port, separated by commas, or *')
  .toLowerCase();

const origin = z
  .string()
  .refine(
    (value) => URL.canParse(value) && /^https?:\/\/[^/?#]+\/?$/.test(value),
    'must be origins such as https://books.example, separated by commas',
  )
  .transform((value) => new URL(value).origin);

const network = z.string().refine((value) => {
  const [address = '', bits, ...rest] = value.split('/');
  const most = isIP(address) === 6 ? 128 : 32;
  return (
    isIP(address) > 0 &&
    rest.length === 0 &&
    (bits === undefined || (/^\d+$/.test(bits) && Number(bits) <= most))
  );
}, 'must be addresses or networks such as 10.0.0.0/8, separated by commas');

const postgresUrl = z.string().refine((value) => {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  return url?.protocol === 'postgres:' || url?.protocol === 'postgresql:';
}, 'must be a URL such as postgres://user:password@host:5432/database');

/** In a minute. Some 1,000 a second are what one caller may take; only callers of this machine, without a proxy, may take all. */
const REQUESTS_FROM_ELSEWHERE = 60_000;

/** Each level shows what the levels before it show, and more. */
export const LOG_LEVELS = ['silent', 'fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const;

const environment = z.object({
  HOST: z.string().min(1).default('127.0.0.1'),
  PORT: integer(3000, 0, 65_535),
  ALLOWED_HOSTS: list(hostName),
  ALLOWED_ORIGINS: list(origin),
  AUTH: z.enum(['none', 'tokens']).optional(),
  AUTH_ISSUER: z
    .string()
    .refine(isSafeUrl, 'must be an https URL; http only on the loopback interface')
    .optional(),
  AUTH_AUDIENCE: z.string().min(1).optional(),
  TRUSTED_PROXIES: list(network),
  TLS_CERT: z.string().min(1).optional(),
  TLS_KEY: z.string().min(1).optional(),
  REQUESTS_PER_SUBJECT: wholeNumber(0, 1_000_000_000).optional(),
  REQUESTS_PER_ADDRESS: wholeNumber(0, 1_000_000_000).optional(),
  IMPORTS_PER_SUBJECT: integer(16, 1, 64),
  READERS_PER_SUBJECT: integer(100, 1, 1_000),
  DATABASE_URL: postgresUrl.optional(),
  DATABASE_PASSWORD_FILE: z.string().min(1).optional(),
  EVENTSTOREDB_URL: z
    .string()
    .regex(/^esdb(\+discover)?:\/\/./, 'must be a URL such as esdb://host:2113?tls=false')
    .optional(),
  EVENTSTOREDB_PREFIX: z
    .string()
    .regex(/^[\w-]{0,64}$/, 'must be up to 64 letters, digits, - and _')
    .default(''),
  CATALOGUE_SCHEMA: z
    .string()
    .regex(/^(?!pg_)[a-z_][a-z0-9_]{0,50}$/, 'must be a plain lower-case name that does not begin with pg_')
    .default('catalogue'),
  DATA_DIR: z.string().min(1).default('.colophon'),
  LOG_LEVEL: z.enum(LOG_LEVELS).default('info'),
  LOG_FORMAT: z.enum(['text', 'json']).optional(),
  MAX_TEXT_LENGTH: integer(MAX_TEXT_LENGTH, 1, 10_000),
  MAX_BODY_BYTES: integer(1_048_576, 1_024, 16_777_216),
  BODY_TIMEOUT_MS: integer(30_000, 100, 3_600_000),
  MIN_POSITION_WAIT_MS: integer(1_000, 0, 60_000),
  SHUTDOWN_GRACE_MS: integer(10_000, 0, 600_000),
  METRICS: z.enum(['on', 'off']).default('on'),
});

type Environment = z.output<typeof environment>;

/** How callers prove who they are: by tokens of `colophon token`, and by those of the identity provider, if there is one. */
export interface AccessConfig {
  readonly provider?: { readonly issuer: string; readonly audience: string };
}

/** The environment, parsed. A table in the documentation describes each variable. */
export interface Config {
  readonly host: string;
  readonly port: number;
  /** Further names that the service goes by, in lower case; `*` for any name. */
  readonly allowedHosts: readonly string[];
  /** Further origins whose pages may send commands. */
  readonly allowedOrigins: readonly string[];
  /** What `AUTH` says. */
  readonly auth: Environment['AUTH'];
  /** Undefined: every caller may do everything. */
  readonly access: AccessConfig | undefined;
  readonly trustedProxies: readonly string[];
  /** Undefined: without TLS. */
  readonly tls: { readonly cert: string; readonly key: string } | undefined;
  /** In a minute; 0: no limit. */
  readonly requestsPerSubject: number;
  readonly requestsPerAddress: number;
  /** Under way at a time. */
  readonly importsPerSubject: number;
  readonly readersPerSubject: number;
  /** Undefined: the embedded server. */
  readonly databaseUrl: string | undefined;
  /** Undefined: the log is in PostgreSQL. */
  readonly eventStoreDbUrl: string | undefined;
  /** Prefix of every stream name, so that several logs can share a server. */
  readonly eventStoreDbPrefix: string;
  /** The schema of the read tables. */
  readonly catalogueSchema: string;
  /** Absolute path of the folder of the embedded server. */
  readonly dataDir: string;
  readonly logLevel: (typeof LOG_LEVELS)[number];
  /** Undefined: text on a terminal, otherwise JSON. */
  readonly logFormat: 'text' | 'json' | undefined;
  readonly maxTextLength: number;
  readonly maxBodyBytes: number;
  /** Longest time of a request body, except for imports. */
  readonly bodyTimeoutMs: number;
  readonly minPositionWaitMs: number;
  readonly shutdownGraceMs: number;
  /** Whether the service counts, and serves `/metrics`. */
  readonly metrics: boolean;
}

/**
 * Reads and checks the environment; an empty variable counts as unset.
 * @throws OperatorError that names the variable and the expected form.
 */
export function loadConfig(env: NodeJS.ProcessEnv = process.env): Config {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
  const { success, data, error } = environment.safeParse(given);
  if (!success) {
    const [issue] = error.issues;
    throw new OperatorError(`${issue?.path.join('.')}: ${issue?.message}`);
  }
  const onlyHere = isLoopback(data.HOST) && data.TRUSTED_PROXIES.length === 0;
  const requests = onlyHere ? 0 : REQUESTS_FROM_ELSEWHERE;
  return {
    host: data.HOST,
    port: data.PORT,
    allowedHosts: data.ALLOWED_HOSTS,
    allowedOrigins: data.ALLOWED_ORIGINS,
    auth: data.AUTH,
    access: accessOf(data),
    trustedProxies: data.TRUSTED_PROXIES,
    tls: tlsFiles(data.TLS_CERT, data.TLS_KEY),
    requestsPerSubject: data.REQUESTS_PER_SUBJECT ?? requests,
    requestsPerAddress: data.REQUESTS_PER_ADDRESS ?? requests,
    importsPerSubject: data.IMPORTS_PER_SUBJECT,
    readersPerSubject: data.READERS_PER_SUBJECT,
    databaseUrl: withPassword(data.DATABASE_URL, data.DATABASE_PASSWORD_FILE),
    eventStoreDbUrl: data.EVENTSTOREDB_URL,
    eventStoreDbPrefix: data.EVENTSTOREDB_PREFIX,
    catalogueSchema: data.CATALOGUE_SCHEMA,
    dataDir: resolve(data.DATA_DIR),
    logLevel: data.LOG_LEVEL,
    logFormat: data.LOG_FORMAT,
    maxTextLength: data.MAX_TEXT_LENGTH,
    maxBodyBytes: data.MAX_BODY_BYTES,
    bodyTimeoutMs: data.BODY_TIMEOUT_MS,
    minPositionWaitMs: data.MIN_POSITION_WAIT_MS,
    shutdownGraceMs: data.SHUTDOWN_GRACE_MS,
    metrics: data.METRICS === 'on',
  };
}

function accessOf(data: Environment): AccessConfig | undefined {
  const { AUTH: auth, AUTH_ISSUER: issuer, AUTH_AUDIENCE: audience } = data;
  if ((issuer === undefined) !== (audience === undefined))
    throw new OperatorError('AUTH_ISSUER and AUTH_AUDIENCE: must be set together');
  if (issuer === undefined || audience === undefined) return auth === 'tokens' ? {} : undefined;
  if (auth === 'none') throw new OperatorError('AUTH: must not be none if AUTH_ISSUER is set');
  return { provider: { issuer, audience } };
}

/**
 * Refuses to serve other machines without access control, unless `AUTH=none` says so.
 * @throws OperatorError
 */
export function requireAccessControl({ host, access, auth }: Config): void {
  if (access || auth === 'none' || isLoopback(host)) return;
  throw new OperatorError(
    `HOST: other machines can reach ${host}, so set AUTH=tokens or AUTH_ISSUER, or AUTH=none to let everybody in`,
  );
}

function tlsFiles(cert: string | undefined, key: string | undefined): Config['tls'] {
  if (cert !== undefined && key !== undefined) return { cert, key };
  if (cert === key) return undefined;
  throw new OperatorError(`${cert === undefined ? 'TLS_CERT' : 'TLS_KEY'}: certificate and key go together`);
}

/** Adds the password in a file to the URL, so that a container's secret need not be in the environment. */
function withPassword(url: string | undefined, file: string | undefined): string | undefined {
  if (url === undefined || file === undefined) return url;
  const complete = new URL(url);
  try {
    complete.password = encodeURIComponent(readFileSync(file, 'utf8').trim());
  } catch (error) {
    throw new OperatorError(`DATABASE_PASSWORD_FILE: ${(error as Error).message}`);
  }
  return complete.href;
}
