import { importedIdOf } from '../../src/ids.js';
import type { Parameters } from '../page.js';

/**
 * The condition on rows with a key of their source. Events of early versions have no key, but an id derived from it. The
 * ids are an array, because without statistics the planner would else read the list in its order to find one row.
 */
export function keyCondition(
  table: 'authors' | 'books',
  kind: 'author' | 'book',
  key: string,
  parameters: Parameters,
): string {
  const ids = `select k.id from ${table} k where k.source_key = ${parameters.add(key)}`;
  return `${table[0]}.id = any(array(${ids}) || ${parameters.add(importedIdOf(kind, key))}::uuid)`;
}
