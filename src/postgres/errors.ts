import { isNativeError } from 'node:util/types';

/**
 * What an error of PostgreSQL, of its driver or of the network means for the caller:
 * - `unavailable`: the server is away, busy, full or read-only. The same request may succeed later.
 * - `conflict`: another transaction was in the way, and this one was rolled back. The same request may succeed at once.
 * - `refused`: the server refuses these values. The same request always fails.
 * - `bug`: everything else, such as a wrong statement.
 */
export type Fault = 'unavailable' | 'conflict' | 'refused' | 'bug';

/** Too many callers already wait for a connection of the pool. Nothing was begun. */
export class PoolCrowded extends Error {
  override message = 'too many requests wait for the database';
}

/** SQLSTATEs, by their beginning. The first match counts. */
const STATES: readonly (readonly [beginning: string, fault: Fault])[] = [
  ['08', 'unavailable'], // the connection broke
  ['25006', 'unavailable'], // read-only: a primary that became a standby, or an operator's setting
  ['25P03', 'unavailable'], // the session was idle in a transaction for too long
  ['25P04', 'unavailable'], // the transaction took too long
  ['28', 'unavailable'], // the login is refused: the server was restored or reconfigured while we run
  ['3D000', 'unavailable'], // the database is gone: the same
  ['53', 'unavailable'], // disk or memory full, too many connections
  ['55P03', 'unavailable'], // a lock couldn't be had in time
  ['57014', 'unavailable'], // the statement was cancelled: by its time limit, or by an operator
  ['57P', 'unavailable'], // the server stops, crashed, starts, or ended the session
  ['58', 'unavailable'], // the operating system failed, such as an I/O error
  ['40', 'conflict'], // deadlock, serialization failure
  ['21', 'refused'], // a row twice in one statement
  ['22', 'refused'], // bad values
  ['23', 'refused'], // a broken constraint
  ['54', 'refused'], // a limit of the server
];

/** Codes of Node for a peer or a network that is away, and for a process that has no room for a connection. */
const CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EAI_FAIL',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'EADDRNOTAVAIL',
  'ENOBUFS',
  'EMFILE',
  'ENFILE',
  'EPROTO',
  'ERR_STREAM_DESTROYED',
  'ERR_STREAM_WRITE_AFTER_END',
  'ERR_STREAM_PREMATURE_CLOSE',
  'ERR_SOCKET_CLOSED',
]);
/** The server's certificate is refused, such as an expired one. */
const TLS_CODES = /^(ERR_SSL_|ERR_TLS_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)/;
/** Codes of a missing or forbidden socket; of other system calls, such as reading a file, they mean a bug. */
const SOCKET_CODES = new Set(['ENOENT', 'EACCES']);

/** What `pg` 8.23 and `pg-pool` 3.14 say without a code. */
const TEXTS = [
  /^timeout expired$/,
  /^timeout exceeded when trying to connect$/,
  /^Query read timeout$/,
  /^Connection terminated/,
  /^Client (has encountered a connection error|was closed) and is not queryable$/,
  /^Cannot use a pool after calling end on the pool$/,
  /^The server does not support SSL connections$/,
  /^There was an error establishing an SSL connection$/,
  /^Received unexpected \w+ message from backend\.$/,
  /^received invalid response: /,
  /^Unknown authenticationOk message type /,
  /^SASL: /,
];

/** Every SQLSTATE has a digit; codes of Node such as `EPIPE` have none. */
const SQLSTATE = /^(?=.*\d)[\dA-Z]{5}$/;

/** Classifies an error by its code; by its text only if it has no code. */
export function classify(error: unknown): Fault {
  // Not `instanceof`: in a test runner with a separate realm, Node's own errors have another `Error` class.
  if (!isNativeError(error)) return 'bug';
  if (error instanceof PoolCrowded) return 'unavailable';
  // A host name with several addresses gives an error for each address.
  if ('errors' in error && Array.isArray(error.errors))
    return error.errors.map(classify).find((fault) => fault !== 'bug') ?? 'bug';
  const code = codeOf(error);
  if (code === undefined) return TEXTS.some((text) => text.test(error.message)) ? 'unavailable' : 'bug';
  if (CODES.has(code) || TLS_CODES.test(code)) return 'unavailable';
  if (SOCKET_CODES.has(code))
    return 'syscall' in error && error.syscall === 'connect' ? 'unavailable' : 'bug';
  return (SQLSTATE.test(code) && STATES.find(([beginning]) => code.startsWith(beginning))?.[1]) || 'bug';
}

/** Whether the same request may succeed later, or at once if it only lost against another transaction. */
export function isUnavailable(error: unknown): boolean {
  const fault = classify(error);
  return fault === 'unavailable' || fault === 'conflict';
}

/** Whether a lock could not be had in time, by a timeout or a deadlock. */
export const isLockTimeout = (error: unknown): boolean => /^(55P03|40P01)$/.test(sqlState(error) ?? '');

/** The SQLSTATE of an error that the server answered; undefined for errors of the driver and the network. */
export function sqlState(error: unknown): string | undefined {
  const code = codeOf(error);
  return code !== undefined && SQLSTATE.test(code) ? code : undefined;
}

const codeOf = (error: unknown): string | undefined =>
  isNativeError(error) && 'code' in error && typeof error.code === 'string' ? error.code : undefined;

/** Whether an error's text may quote data: PostgreSQL's class 22, and JSON that can't be parsed. */
const quotesData = (error: Error): boolean =>
  error instanceof SyntaxError || sqlState(error)?.startsWith('22') === true;

const kindOf = (error: Error): string => [error.name, sqlState(error)].join(' ').trim();

/**
 * What an error says, without its cause. Of an error whose text may quote data, only the kind. A host name with several
 * addresses gives an error for each address.
 */
export function reasonOf(error: unknown): string {
  if (!isNativeError(error)) return String(error);
  if ('errors' in error && Array.isArray(error.errors)) return error.errors.map(reasonOf).join('; ');
  return quotesData(error) ? kindOf(error) : error.message;
}

/** What an error says, and its cause, in a line. */
export const inWords = (error: unknown): string =>
  isNativeError(error) && error.cause !== undefined
    ? `${reasonOf(error)}: ${reasonOf(error.cause)}`
    : reasonOf(error);

/** The stack of an error that nobody expected. Of an error whose text may quote data, only the kind and the place. */
export function stackOf(error: unknown): string {
  if (!isNativeError(error)) return String(error);
  const { name, message, stack = message } = error;
  return quotesData(error) ? stack.replace(message, '…').replace(name, kindOf(error)) : stack;
}
