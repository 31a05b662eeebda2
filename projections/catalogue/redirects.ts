import type { QueryConfig } from 'pg';
import type { Send } from '../send.js';
import { MERGED_COLUMNS, upsert } from './columns.js';
import type { AuthorRow, Removed, Standing } from './rows.js';

// `author_redirects` has a row for each merged author. Its survivor depends on the streams of all authors in the chain.

/** The author whom a merged author was merged into; undefined for others. */
export const intoOf = (standing: Standing<AuthorRow>): string | undefined =>
  standing && 'removed' in standing ? standing.removed.into : undefined;

/**
 * The last author of a chain of merges.
 * @param intoOf the author whom a merged author was merged into.
 * @returns null if the chain is a circle, as merges at the same time may form one.
 */
export function survivorOf(id: string, intoOf: (id: string) => string | undefined): string | null {
  const met = new Set<string>();
  let last = id;
  for (let next = intoOf(last); next !== undefined; next = intoOf(last)) {
    if (met.has(next)) return null;
    met.add(next);
    last = next;
  }
  return last;
}

interface Id {
  readonly id: string;
}

/**
 * Stores where merged authors lead. All chains through these authors get their new survivor.
 * @param removed the authors that are removed or merged now.
 * @param before authors that were removed or merged before. Of those that are not merged now, the redirect is deleted.
 */
export async function storeRedirects(
  send: Send,
  removed: readonly Removed[],
  before: readonly string[],
): Promise<void> {
  const merged = removed.flatMap(({ id: authorId, into: intoId }) =>
    intoId === undefined ? [] : [{ authorId, intoId, survivorId: intoId }],
  );
  if (merged.length > 0) await send(upsert('author_redirects', MERGED_COLUMNS, ['author_id'], merged));
  const changed = new Set(merged.map(({ authorId }) => authorId));
  const unmerged = before.filter((id) => !changed.has(id));
  if (unmerged.length > 0) {
    const text = 'delete from author_redirects where author_id = any($1) returning author_id as id';
    for (const { id } of (await send<Id>({ text, values: [unmerged] })).rows) changed.add(id);
  }
  if (changed.size === 0) return;
  const { rows } = await send<Id>({
    name: 'redirects-through',
    text: `with recursive through (id) as (
             select unnest($1::uuid[])
             union select r.author_id from author_redirects r join through on r.into_id = through.id
           ), begun as (
             update author_redirects set survivor_id = into_id
             where author_id in (select id from through) and survivor_id is distinct from into_id
           )
           select id from through`,
    values: [[...changed]],
  });
  await resolve(send, rows.length, 'r.author_id = any($1)', [rows.map(({ id }) => id)]);
}

/** Gives every row its survivor. The rows have what they were merged into as survivor. */
export async function resolveRedirects(send: Send): Promise<void> {
  const { rows } = await send<{ count: number }>({
    text: 'select count(*)::integer as count from author_redirects',
  });
  await resolve(send, rows[0]?.count ?? 0, 'true', []);
}

/**
 * Lets rows point to the last author of their chain. A row points to the end of a part of its chain, and each round
 * doubles the part. So chains of any length take few rounds, and a circle, which has no end, does not take more.
 * @param count of the rows.
 * @param which a condition on a row `r`.
 */
async function resolve(send: Send, count: number, which: string, values: unknown[]): Promise<void> {
  const run = async (text: string) => (await send({ text, values } satisfies QueryConfig)).rowCount ?? 0;
  for (let reach = 1; reach <= 2 * count; reach *= 2) {
    const moved = await run(
      `update author_redirects r set survivor_id = next.survivor_id from author_redirects next
       where next.author_id = r.survivor_id and ${which}`,
    );
    if (moved === 0) return;
  }
  await run(
    `update author_redirects r set survivor_id = null from author_redirects next
     where next.author_id = r.survivor_id and ${which}`,
  );
}
