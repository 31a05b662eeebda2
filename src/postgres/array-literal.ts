import type { CopyValue } from './copy.js';

/**
 * The text of an array, for a parameter. The driver's own way takes three times as long.
 * @param values an array among them is written as a text with commas, because PostgreSQL requires all inner arrays of an
 *        array to have the same length.
 */
export const arrayLiteral = (values: readonly CopyValue[]): string => `{${values.map(element).join()}}`;

function element(value: CopyValue): string | number {
  if (value === null) return 'null';
  if (typeof value === 'number') return value;
  if (typeof value === 'bigint' || typeof value === 'boolean') return String(value);
  if (value instanceof Date) return value.toISOString();
  const text = typeof value === 'string' ? value : value.join();
  return `"${SPECIAL.test(text) ? text.replace(EACH_SPECIAL, '\\$&') : text}"`;
}

const SPECIAL = /["\\]/;
const EACH_SPECIAL = /["\\]/g;
