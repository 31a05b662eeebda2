import { importedIdOf } from '../../src/ids.js';
import type { Parameters } from '../page.js';
import type { Filter } from './list-statement.js';

const KINDS = { 'authors a': 'author', 'books b': 'book' } as const;

/**
 * Rows with a key of their source. Events of early versions have no key, but an id derived from it. The ids are an
 * array, because without statistics the planner would else read the list in its order to find one row.
 */
export function fromSource(table: keyof typeof KINDS, key: string, parameters: Parameters): Filter {
  const [name, alias] = table.split(' ');
  const ids = `select k.id from ${name} k where k.source_key = ${parameters.add(key)}`;
  const derived = `${parameters.add(importedIdOf(KINDS[table], key))}::uuid`;
  const condition = `${alias}.id = any(array(${ids}) || ${derived})`;
  return { condition, steps: [{ rows: `select ${alias}.* from ${table} where ${condition}` }] };
}
