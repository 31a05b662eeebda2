import type { ClientBase } from 'pg';

/** What a follower leads in: one session of the database holds it at a time. */
export interface LeaderLock {
  readonly name: string;
  /** Sets apart those that may lead side by side, such as two versions of the tables. */
  readonly version: number;
}

/**
 * Takes the lead if nobody has it. The database ends it with the session.
 * @param client the session that is to lead.
 */
export async function tryLead(client: ClientBase, { name, version }: LeaderLock): Promise<boolean> {
  const { rows } = await client.query<{ locked: boolean }>(
    'select pg_try_advisory_lock(hashtextextended($1, $2)) as locked',
    [name, version],
  );
  return rows[0]?.locked === true;
}
