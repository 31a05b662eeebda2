import type { ClientBase } from 'pg';

/** The leader's lock. One database session at a time can hold a lock. */
export interface LeaderLock {
  readonly name: string;
  /** Distinguishes followers that may lead at the same time, such as projectors of two versions. */
  readonly version: number;
}

/**
 * Takes the leader's lock if no other session holds the lock. The database releases the lock at the end of the session.
 * @param client the session that would lead.
 * @returns whether the session holds the lock.
 */
export async function tryLead(client: ClientBase, { name, version }: LeaderLock): Promise<boolean> {
  const { rows } = await client.query<{ locked: boolean }>(
    'select pg_try_advisory_lock(hashtextextended($1, $2)) as locked',
    [name, version],
  );
  return rows[0]?.locked === true;
}
