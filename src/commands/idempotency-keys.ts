import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Pool } from 'pg';
import type { DomainError, RefusalKind } from '../domain-error.js';
import type { Redirect } from '../redirect.js';
import type { Standing } from './streams.js';
import { prepared } from '../postgres/database.js';
import type { Migrations } from '../postgres/migrate.js';

export const MIGRATIONS: Migrations = {
  schema: 'commands',
  dir: join(import.meta.dirname, 'migrations'),
};

/** A key that was claimed once is remembered for so many days. Retries come within minutes. */
export const DAYS_REMEMBERED = 30;
/** Longer than any append is tried: after so many seconds, a claim without events is that of a process that died. */
const STALE_CLAIM_SECONDS = 30;
const PURGE_EVERY_MS = 3_600_000;

/** The answer of a command that wrote nothing. An answer of a command that wrote is found in the command's events. */
export type RememberedAnswer =
  | {
      readonly kind: 'unchanged';
      readonly id: string;
      readonly revision: string;
      readonly position: string;
      /** An older version did not remember the change. */
      readonly change?: string;
      readonly redirected?: readonly Redirect[];
    }
  | {
      readonly kind: 'precondition-failed';
      readonly status: Standing['status'];
      readonly actual: string | null;
    }
  | {
      readonly kind: 'refused';
      readonly refusal: RefusalKind;
      readonly rule: string;
      readonly message: string;
      readonly pointer: string | null;
      /** An older version knew no members. */
      readonly members?: DomainError['members'];
    };

/** A decision about a command under a key, before the decision takes effect. */
export interface Claim {
  readonly commandId: string;
  /** Of the command's meaning: see {@link digestOf}. */
  readonly digest: string;
  /** The stream's revision that the decision was made at; -1 if there is no stream. */
  readonly revision: bigint;
  /** Undefined if the command will write. */
  readonly answer?: RememberedAnswer | undefined;
}

export type Claimed =
  | { readonly outcome: 'claimed' }
  /** An earlier try wrote nothing, and was answered so. */
  | { readonly outcome: 'answered'; readonly answer: RememberedAnswer }
  /** Another try decided at a later revision, or at the same one and otherwise. The caller reads the stream again. */
  | { readonly outcome: 'outrun'; readonly revision: bigint }
  | { readonly outcome: 'reused' };

/**
 * One key, one request, one answer, of one actor. Streams alone can't give that: a command that wrote nothing leaves no
 * trace there, and a key used for another resource is looked for in the wrong stream.
 *
 * A decision is claimed before it takes effect, and the first claim wins. There is no lock and no lease, so a crash
 * leaves nothing behind that blocks. Two tries of one request can run at once, in two processes too:
 * 1. Both write: the append's expected revision lets one through. The other reads the stream again and finds the command.
 * 2. One writes at revision r, the other has nothing to do at s > r: its claim wins, since the append at r must fail.
 *    The first then claims again, and finds the answer.
 * 3. One writes at r, the other has nothing to do at s < r: its claim is refused, and it reads the stream again.
 */
export class IdempotencyKeys {
  private purgedAt = -Infinity;

  /** @param pool of a database that {@link MIGRATIONS} were applied to. */
  constructor(private readonly pool: Pool) {}

  /** @throws what the pool throws, if the database is unavailable. */
  async claim({ commandId, digest, revision, answer }: Claim): Promise<Claimed> {
    this.purge();
    const { rows } = await this.pool.query<{ claimed: boolean }>(
      prepared(CLAIM, [commandId, digest, revision, answer === undefined ? null : JSON.stringify(answer)]),
    );
    if (rows.length > 0) return { outcome: 'claimed' };
    const { rows: earlier } = await this.pool.query<Earlier>(prepared(EARLIER, [commandId]));
    const [row] = earlier;
    // Forgotten between the two statements.
    if (!row) return this.claim({ commandId, digest, revision, answer });
    if (row.digest !== digest) return { outcome: 'reused' };
    if (row.answer) return { outcome: 'answered', answer: row.answer };
    return { outcome: 'outrun', revision: BigInt(row.revision) };
  }

  /** Forgets old keys, once an hour, beside the claims. */
  private purge(): void {
    if (performance.now() - this.purgedAt < PURGE_EVERY_MS) return;
    this.purgedAt = performance.now();
    this.pool.query(PURGE).catch(() => (this.purgedAt = -Infinity));
  }
}

interface Earlier {
  readonly digest: string;
  readonly revision: string;
  readonly answer: RememberedAnswer | null;
}

// The same try claims again after a conflict, at a later revision. A decision that writes may be claimed twice at one
// revision, since only one append can succeed there.
const CLAIM = `
insert into commands.idempotency_keys as k (command_id, digest, revision, answer) values ($1, $2, $3, $4)
on conflict (command_id) do update
  set revision = excluded.revision, answer = excluded.answer, claimed_at = now()
  where k.digest = excluded.digest and k.answer is null
    and (k.revision < excluded.revision
         or k.revision = excluded.revision and excluded.answer is null
         or k.claimed_at < now() - interval '${STALE_CLAIM_SECONDS} seconds')
returning true as claimed`;
const EARLIER = 'select digest, revision, answer from commands.idempotency_keys where command_id = $1';
const PURGE = `
delete from commands.idempotency_keys where command_id in (
  select command_id from commands.idempotency_keys
  where claimed_at < now() - interval '${DAYS_REMEMBERED} days' order by claimed_at limit 100000)`;

/**
 * A digest of what a command means: its name and its fields, after defaults and normal forms were applied. Two URLs or
 * bodies that mean the same have one digest. Fields that are undefined don't count, nor does the order of fields.
 */
export function digestOf(name: string, fields: object): string {
  return createHash('sha256')
    .update(JSON.stringify([name, fields], comparable))
    .digest('base64url');
}

function comparable(_: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
