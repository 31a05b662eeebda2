import type { Queryable } from '../../src/postgres/database.js';
import { READER } from '../../src/postgres/roles.js';
import type { Target } from '../checkpoint.js';
import type { ClientBase } from 'pg';

/**
 * Lets the login for SQL clients read the tables of a schema. Does nothing if the login can read them already, or does
 * not exist.
 *
 * The right to refer to a table lets a tool see the keys: `information_schema` hides the constraints of a table from a
 * role that can only select. The login may create no table, so it can't use the right.
 */
export async function admitReaders(
  db: Queryable | ClientBase,
  { projection: { shown = [] }, schema }: Target,
): Promise<void> {
  if (shown.length === 0) return;
  await db.query(
    `do $$ declare one regclass; begin
       if to_regrole('${READER}') is null then return; end if;
       if not has_schema_privilege('${READER}', '${schema}', 'usage') then
         grant usage on schema "${schema}" to ${READER};
       end if;
       for one in select oid from pg_class
         where relnamespace = '${schema}'::regnamespace and relname = any('{${shown.join()}}')
           and not (has_table_privilege('${READER}', oid, 'select') and has_table_privilege('${READER}', oid, 'references'))
       loop execute format('grant select, references on %s to ${READER}', one); end loop;
     end $$`,
  );
}
