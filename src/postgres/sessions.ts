/**
 * SQL for a session in words: process, program, user, and the start of its transaction.
 * @param alias a row of `pg_stat_activity`.
 */
export const sessionInWords = (alias: string): string =>
  `'pid ' || ${alias}.pid || ' (' || concat_ws(', ', nullif(${alias}.application_name, ''), ${alias}.usename,
     'in a transaction since ' || to_char(${alias}.xact_start at time zone 'UTC', 'HH24:MI:SS') || ' UTC') || ')'`;
