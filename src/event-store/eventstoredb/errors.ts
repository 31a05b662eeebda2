import { isNativeError } from 'node:util/types';
import { ErrorType, type WrongExpectedVersionError } from '@eventstore/db-client';
import { status } from '@grpc/grpc-js';
import { EventStoreUnavailable, UserRefused } from '../event-store.js';

/**
 * Errors are recognised by `type` and `code`, never by class or text. "Server Is Not Ready" arrives as an unknown
 * error, "not the leader" has the code of "not found", an outage is a bare gRPC error. The form depends on the path.
 */
const typeOf = (error: unknown): unknown =>
  isNativeError(error) && 'type' in error ? error.type : undefined;
const codeOf = (error: unknown): unknown =>
  isNativeError(error) && 'code' in error ? error.code : undefined;

export const isStreamNotFound = (error: unknown): boolean => typeOf(error) === ErrorType.STREAM_NOT_FOUND;

export const isStreamDeleted = (error: unknown): boolean => typeOf(error) === ErrorType.STREAM_DELETED;

export const isWrongExpectedVersion = (error: unknown): error is WrongExpectedVersionError =>
  typeOf(error) === ErrorType.WRONG_EXPECTED_VERSION;

export const isTooLarge = (error: unknown): boolean =>
  typeOf(error) === ErrorType.MAXIMUM_APPEND_SIZE_EXCEEDED;

const PASSING_TYPES = new Set<unknown>([
  ErrorType.UNAVAILABLE,
  ErrorType.CANCELLED,
  ErrorType.TIMEOUT,
  ErrorType.DEADLINE_EXCEEDED,
  ErrorType.NOT_LEADER,
  // An operator may give the permission meanwhile.
  ErrorType.ACCESS_DENIED,
]);
const PASSING_CODES = new Set<unknown>([
  status.UNAVAILABLE,
  status.CANCELLED,
  status.DEADLINE_EXCEEDED,
  status.ABORTED,
  status.RESOURCE_EXHAUSTED,
  status.INTERNAL,
  status.UNAUTHENTICATED,
]);
const NOT_READY = /not ready|Failed to discover|closed channel|Channel has been shut down/i;

/** Whether the same call may succeed later: an outage, an election, a leader that moved, a server that is starting. */
export function isPassing(error: unknown): boolean {
  if (PASSING_TYPES.has(typeOf(error))) return true;
  const code = codeOf(error);
  if (code === status.UNKNOWN || code === undefined)
    return isNativeError(error) && NOT_READY.test(error.message);
  return PASSING_CODES.has(code) && typeOf(error) !== ErrorType.WRONG_EXPECTED_VERSION;
}

/** The permission that reads of the log need. */
export const READ_ALL = 'read the stream $all';

/**
 * A passing error in the words of the port.
 * @param permission that the call needs, such as {@link READ_ALL}.
 */
export function outage(error: unknown, permission: string): EventStoreUnavailable {
  if (error instanceof EventStoreUnavailable) return error;
  if (codeOf(error) === status.UNAUTHENTICATED)
    return new UserRefused('EventStoreDB does not know the user, or the password is wrong');
  if (typeOf(error) === ErrorType.ACCESS_DENIED)
    return new UserRefused(`EventStoreDB does not allow the user to ${permission}`);
  return new EventStoreUnavailable(error);
}

/** Whether the server refuses what it was sent, and certainly wrote nothing. */
export const isRefused = (error: unknown): boolean =>
  typeOf(error) === ErrorType.INVALID_ARGUMENT || codeOf(error) === status.INVALID_ARGUMENT;

/** A read from a position that no event has. The server gives nothing but this text. */
export const isNoSuchPosition = (error: unknown): boolean =>
  isNativeError(error) && /Unexpected ReadAllResult: Error/.test(error.message);
