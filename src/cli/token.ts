import { LocalTokens, MAX_DAYS, MIGRATIONS, type TokenRow } from '../access/local-tokens.js';
import { isSubject } from '../access/proof.js';
import { loadConfig } from '../config.js';
import { OperatorError } from '../errors.js';
import { SCOPES } from '../http/access.js';
import { createPool } from '../postgres/database.js';
import { migrate } from '../postgres/migrate.js';
import { POOLS } from '../postgres/pools.js';
import { openDatabase } from '../resources.js';
import { isUuid } from '../stored-data.js';
import { plain } from './actor.js';
import { withOpened } from './running.js';

export interface TokenOptions {
  readonly subject: string;
  readonly scopes: readonly string[];
  readonly days: number;
}

/** Prints a new token on standard output, and its id on standard error. */
export async function createToken({ subject: given, scopes: names, days }: TokenOptions): Promise<void> {
  const subject = plain('--subject', given);
  if (!isSubject(subject))
    throw new OperatorError('--subject contains an invisible mark or one of direction');
  const scopes = SCOPES.filter((one) => names.includes(one));
  if (!names.every((name) => SCOPES.some((one) => one === name)))
    throw new OperatorError(`--scopes: there are only ${SCOPES.join(', ')}`);
  if (!Number.isInteger(days) || days < 1 || days > MAX_DAYS)
    throw new OperatorError(`--days must be a whole number from 1 to ${MAX_DAYS}`);
  await withTokens(async (tokens) => {
    const { id, token } = await tokens.issue({ subject, scopes, days });
    process.stderr.write(`token ${id} for ${subject}: ${scopes.join(', ')}, valid for ${days} days\n`);
    process.stdout.write(`${token}\n`);
  });
}

/** Prints what is known of each token that has not expired, one a line. */
export async function listTokens(): Promise<void> {
  await withTokens(async (tokens) => {
    for (const row of await tokens.list()) process.stdout.write(`${lineOf(row)}\n`);
  });
}

/** @throws OperatorError if no token can have this id. */
export async function revokeToken(id: string): Promise<void> {
  await withTokens(async (tokens) => {
    const [row] = isUuid(id) ? await tokens.revoke(id) : [];
    if (!row) throw new OperatorError(`there is no token ${id}`);
    process.stdout.write(`${lineOf(row)}\n`);
  });
}

function lineOf({ id, subject, scopes, expires_at, revoked_at }: TokenRow): string {
  const until = revoked_at
    ? `revoked ${revoked_at.toISOString()}`
    : `valid until ${expires_at.toISOString()}`;
  return `${id} ${subject}: ${scopes.join(', ') || 'unknown scopes'}, ${until}`;
}

/** Runs work on the tokens in the database. Neither log nor tables are opened. */
function withTokens(work: (tokens: LocalTokens) => Promise<void>): Promise<void> {
  const open = async (signal: AbortSignal) => {
    const database = await openDatabase(loadConfig(), signal);
    try {
      await migrate(database.url, signal, MIGRATIONS);
    } catch (error) {
      await database.close();
      throw error;
    }
    const pool = createPool(database.url, POOLS.access);
    return {
      tokens: new LocalTokens(pool),
      close: () => pool.end().finally(() => database.close()),
    };
  };
  return withOpened(open, ({ tokens }) => work(tokens));
}
