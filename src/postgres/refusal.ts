import { DatabaseError } from 'pg';
import { OperatorError } from '../errors.js';
import { isUnavailable, reasonOf } from './errors.js';

/** A right is missing. */
const DENIED = '42501';
/** 25006: the database is read-only; 0A000 and 58P01: the server lacks an extension. */
const REFUSALS = new Set([DENIED, '25006', '0A000', '58P01']);

/** The error in words for an operator, if the server refused what Colophon needs, or can't be reached. */
export function refusalOf(error: unknown): OperatorError | undefined {
  const code = error instanceof DatabaseError ? error.code : undefined;
  if (code === undefined || !REFUSALS.has(code))
    return isUnavailable(error)
      ? new OperatorError(`the database is unavailable: ${reasonOf(error)}`, { cause: error })
      : undefined;
  const advice =
    code === DENIED ? '; Colophon’s role needs the right to create schemas: `grant create on database`' : '';
  return new OperatorError(`PostgreSQL refuses: ${reasonOf(error)}${advice}`, { cause: error });
}
