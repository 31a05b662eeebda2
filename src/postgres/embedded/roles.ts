import { READER, SERVICE } from '../roles.js';

/** Connections of readers in all. The server has 200, and an instance of Colophon needs 25. */
const READERS = 30;

/**
 * What a reader's session begins with. A session may change these settings.
 * A lock that a reader waits for, or a transaction that a reader forgets, must not be in the way of an upgrade for long.
 */
const DEFAULTS = {
  default_transaction_read_only: 'on',
  statement_timeout: '5min',
  lock_timeout: '10s',
  idle_in_transaction_session_timeout: '1min',
};

/** What a reader's session can't change. Neither sorting nor errors of readers fill the disk. */
const LIMITS = { temp_file_limit: '1GB', log_min_messages: 'fatal' };

/**
 * Functions that every role may call by default, and that a reader must not: advisory locks, since appends and leaders
 * depend on such locks, and functions that write to the disk.
 */
const FORBIDDEN = '^(lo_|loread$|lowrite$|pg_logical_emit_message$|pg_(try_)?advisory_)';

/**
 * Statements that give a database its logins, and make the logins right again: a role may change its own password and
 * its own settings. For the owner of the server, in one round trip, at every start.
 *
 * In data of a version that had no such logins, and in a backup of such data, everything belongs to the owner. The
 * service then gets everything but the log, the views of others included: an upgrade may have to create them again.
 */
export const rolesOf = (database: string, passwords: { service: string; reader: string }): string => `
begin;
set local client_min_messages = warning;
set local log_min_error_statement = panic; -- statements with passwords
set local lock_timeout = '3s';
select pg_advisory_xact_lock(hashtext('colophon roles'));
create extension if not exists pg_trgm with schema public;
do $roles$
declare
  owner oid := current_user::regrole;
  one record;
  old_data boolean := exists (select from pg_class where relname = 'checkpoint' and relowner = owner)
    or exists (select from pg_namespace where nspname = 'commands' and nspowner = owner);
begin
  if to_regrole('${SERVICE}') is null then create role ${SERVICE}; end if;
  if to_regrole('${READER}') is null then create role ${READER}; end if;

  -- Roles that an operator created keep what every role could do.
  if has_database_privilege('public', '${database}', 'temporary') then
    for one in select oid::regrole as role from pg_roles
      where rolname !~ '^pg_' and rolname not in ('${READER}', '${SERVICE}')
    loop
      execute format('grant temporary on database ${database} to %s; grant usage on schema public to %1$s', one.role);
    end loop;
    revoke temporary on database ${database} from public;
    revoke usage on schema public from public;
  end if;
  grant create, temporary on database ${database} to ${SERVICE};
  grant usage on schema public to ${SERVICE};
  revoke connect on database postgres, template1 from public;

  for one in select oid::regprocedure as name from pg_proc where pronamespace = 'pg_catalog'::regnamespace
    and proname ~ '${FORBIDDEN}' and has_function_privilege('public', oid, 'execute')
  loop
    execute format('revoke execute on function %s from public; grant execute on function %1$s to ${SERVICE}', one.name);
  end loop;

  if old_data then
    for one in
      with ours as (
        select oid, nspname, nspowner from pg_namespace where nspname !~ '^pg_|^(information_schema|event_store)$'
      )
      select format('alter schema %I owner to ${SERVICE}', nspname) as statement from ours where nspowner = owner
      union all
      select format('alter table %s owner to ${SERVICE}', c.oid::regclass)
      from pg_class c join ours on ours.oid = relnamespace
      where relowner = owner and relkind in ('r', 'p', 'v', 'm', 'f', 'S')
        and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid
                          and (d.deptype = 'e' or relkind = 'S' and d.deptype in ('a', 'i')))
    loop
      execute one.statement;
    end loop;
  end if;
end
$roles$;
alter role ${SERVICE} login nosuperuser nocreatedb nocreaterole noreplication nobypassrls password '${passwords.service}';
grant pg_read_all_stats to ${SERVICE}; -- to tell who holds a lock, and since when
alter role ${READER} login nosuperuser nocreatedb nocreaterole noreplication nobypassrls
  connection limit ${READERS} password '${passwords.reader}';
alter role ${READER} reset all;
alter role ${READER} in database ${database} reset all;
${Object.entries({ ...DEFAULTS, ...LIMITS })
  .map(([name, value]) => `alter role ${READER} set ${name} = '${value}';`)
  .join('\n')}
commit`;
