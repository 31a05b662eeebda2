import type { Client } from 'pg';
import { APPLICATION_NAME, connect, endOf } from '../postgres/database.js';
import { sessionInWords } from '../postgres/sessions.js';

/** The lock that makes a follower the leader. Only one database session holds the lock at a time. */
export interface LeaderLock {
  readonly name: string;
  /** Followers of different versions, such as two versions of the tables, may lead at the same time. */
  readonly version: number;
}

const LEADER = `${APPLICATION_NAME} leader`;
/** A leader shows this often that its process lives. */
const HEARTBEAT_MS = 2_000;
/** A leader that is silent for so long is relieved: a frozen process, or a machine that vanished from the network. */
const SILENT_MS = 10_000;
const ANSWER_MS = 5_000;
/** Longest time of a statement of the session, of a standby too. All are short. */
const QUERY_MS = 10_000;

/**
 * A database session that leads, or waits for the lead. The lock ends with the session. The session shows by a statement
 * every 2 seconds that its process lives. A standby ends the session of a leader that is silent.
 */
export class LeaderSession {
  private readonly ended = new AbortController();
  private heartbeat: NodeJS.Timeout | undefined;

  private constructor(readonly client: Client) {
    client.once('end', () => this.ended.abort());
  }

  static async open(connectionString: string): Promise<LeaderSession> {
    return new LeaderSession(await connect(connectionString, LEADER, { query_timeout: QUERY_MS }));
  }

  /** Aborts when the session ends, and the lead with it. */
  get lost(): AbortSignal {
    return this.ended.signal;
  }

  /** Becomes the leader if there is no leader; relieves a leader that is silent, so that a later try succeeds. */
  async tryLead({ name, version }: LeaderLock): Promise<boolean> {
    const key = 'hashtextextended($1, $2)';
    const { rows } = await this.client.query<{ locked: boolean }>(
      `select pg_try_advisory_lock(${key}) as locked`,
      [name, version],
    );
    if (rows[0]?.locked) {
      this.heartbeat = setInterval(() => void this.beat(), HEARTBEAT_MS);
      return true;
    }
    await this.client.query(
      `select pg_terminate_backend(a.pid) from pg_locks l join pg_stat_activity a on a.pid = l.pid
       where l.locktype = 'advisory' and l.granted and a.datname = current_database()
         and (l.classid::bigint << 32 | l.objid::bigint) = ${key} and a.application_name = '${LEADER}'
         and a.state <> 'active' and a.state_change < clock_timestamp() - interval '${SILENT_MS} milliseconds'`,
      [name, version],
    );
    return false;
  }

  /** Which sessions another session waits for, in words; undefined if it waits for none. */
  async blockersOf(pid: number): Promise<string | undefined> {
    const { rows } = await this.client.query<{ holder: string }>(
      `select ${sessionInWords('a')} as holder from pg_stat_activity a where pid = any(pg_blocking_pids($1))`,
      [pid],
    );
    return rows.length > 0 ? rows.map(({ holder }) => holder).join(', ') : undefined;
  }

  async end(): Promise<void> {
    clearInterval(this.heartbeat);
    await endOf(this.client);
  }

  private async beat(): Promise<void> {
    let answered = false;
    // After a stall of our own, the answer may be there already and not be read yet.
    const giveUp = () => answered || this.client.connection.stream.destroy();
    const late = setTimeout(() => setImmediate(giveUp), ANSWER_MS);
    await this.client.query('select').catch(() => this.ended.abort());
    answered = true;
    clearTimeout(late);
  }
}
