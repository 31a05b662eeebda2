import type { DatabaseError } from 'pg';
import { OperatorError } from '../../src/errors.js';
import { sqlState } from '../../src/postgres/errors.js';

/** Something that isn't Colophon's keeps the live tables from becoming what they should be. Nothing was changed. */
export class ApplyRefused extends OperatorError {}

/** Broken constraints, dependent objects, missing rights, and errors of triggers. */
const REFUSED = /^(23|2BP|42501|42P01|42P07|3F000|0A000|P0001|55006)/;

/** Names what is in the way of a change of the live tables. */
export function refusal(error: unknown): unknown {
  if (!REFUSED.test(sqlState(error) ?? '')) return error;
  const { message, detail } = error as DatabaseError;
  return new ApplyRefused(`the tables can't be changed: ${message}${detail ? ` (${detail})` : ''}`);
}
