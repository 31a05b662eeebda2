import { Buffer } from 'node:buffer';
import { fastify } from 'fastify';
import { Pool } from 'pg';
import { statementOf as statementOfAuthors } from '../../dist/projections/catalogue/list-authors.js';
import { statementOf as statementOfBooks } from '../../dist/projections/catalogue/list-books.js';
import { createPool, prepared } from '../../dist/src/postgres/database.js';
import { POOLS } from '../../dist/src/postgres/pools.js';

// The peers: a process that answers GET /n with n constant bytes of JSON, takes a POST without doing anything, and
// gives pages of lists with the least work: without checks, limits, or a thought of other callers.
const [databaseUrl] = process.argv.slice(2);
const constants = new Map();
const app = fastify();
app.get('/:size', async (request, reply) => {
  const size = Number(request.params.size);
  if (!constants.has(size)) constants.set(size, JSON.stringify({ x: 'x'.repeat(Math.max(0, size - 8)) }));
  reply.type('application/json; charset=utf-8');
  return constants.get(size);
});
app.post('/:size', async (request, reply) => reply.status(201).send({ id: request.body.name }));

const pool = new Pool({
  connectionString: databaseUrl,
  options: '-c search_path=catalogue,public -c jit=off',
});
const cursorOf = (after) => JSON.parse(Buffer.from(after, 'base64url').toString());
const nextOf = (rows, limit, key) =>
  rows.length > limit
    ? Buffer.from(JSON.stringify([key, rows[limit - 1].key, rows[limit - 1].id])).toString('base64url')
    : null;

const LISTS = {
  books: {
    sort: 'title',
    key: 'b.title_sort',
    id: 'b.id',
    from: 'books b',
    columns: 'b.id, b.title, b.filed_as as "filedAs", b.source_key as "sourceKey", b.revision, b.stale',
    times: ['b.created_at', 'b.updated_at'],
    included: `(select coalesce(json_agg(item), '[]') from (
      select json_build_object('id', a.id, 'name', a.name, 'position', l.position, 'roles', l.roles, 'creditedAs', l.credited_as) as item
      from author_book l join authors a on a.id = l.author_id where l.book_id = b.id order by l.position, a.id limit 101) included) as authors`,
  },
  authors: {
    sort: 'name',
    key: 'a.name_sort',
    id: 'a.id',
    from: 'authors a',
    columns: 'a.id, a.name, a.source_key as "sourceKey", a.revision, a.stale',
    times: ['a.created_at', 'a.updated_at'],
    included: `(select coalesce(json_agg(item), '[]') from (
      select json_build_object('id', b.id, 'title', b.title, 'position', l.position, 'roles', l.roles, 'creditedAs', l.credited_as) as item
      from author_book l join books b on b.id = l.book_id where l.author_id = a.id order by b.title_sort || '', b.id limit 101) included) as books`,
  },
};
// The number is part of the text, so that the server plans the statement once.
const page = ({ key, id, from, included }, columns, include, limit) =>
  `select ${columns}${include ? `, ${included}` : ''}, ${key} as key from ${from}
   where (${key}, ${id}) > ($1, $2) order by ${key}, ${id} limit ${limit}`;

// Rows through pg, and JSON by JavaScript.
app.get('/rows/:list', async ({ params, query }) => {
  const list = LISTS[params.list];
  const [created, updated] = list.times.map((time) => `(date_part('epoch', ${time}) * 1000)::bigint`);
  const limit = Number(query.limit);
  const [, key, id] = cursorOf(query.after);
  const columns = `${list.columns}, ${created} as created, ${updated} as updated`;
  const text = page(list, columns, query.include, limit + 1);
  const { rows } = await pool.query(prepared(text, [key, id]));
  const items = rows.slice(0, limit).map(({ created, updated, ...row }) => ({
    ...row,
    createdAt: new Date(Number(created)).toISOString(),
    updatedAt: new Date(Number(updated)).toISOString(),
  }));
  return { items, next: nextOf(rows, limit, list.sort) };
});

// JSON by PostgreSQL's functions, passed on as text.
app.get('/text/:list', async ({ params, query }, reply) => {
  const list = LISTS[params.list];
  const [created, updated] = list.times;
  const [, key, id] = cursorOf(query.after);
  const columns = `${list.columns}, ${created} as "createdAt", ${updated} as "updatedAt"`;
  const text = `select coalesce(json_agg(page), '[]')::text as items from (${page(list, columns, query.include, Number(query.limit))}) page`;
  const { rows } = await pool.query(prepared(text, [key, id]));
  reply.type('application/json; charset=utf-8');
  return `{"items":${rows[0].items}}`;
});

// Colophon's own statement, on connections as Colophon's.
const lists = createPool(databaseUrl, { ...POOLS.lists, searchPath: 'catalogue,public' });
app.get('/own/:list', async ({ params, query: { limit, after, include } }, reply) => {
  const statementOf = params.list === 'books' ? statementOfBooks : statementOfAuthors;
  const { rows } = await lists.query(
    statementOf({ limit: Number(limit), after, include, sort: LISTS[params.list].sort }),
  );
  reply.type('application/json; charset=utf-8');
  return `{"items":[${rows.map(([json]) => json).join(',')}]}`;
});
process.send(await app.listen({ port: 0, host: '127.0.0.1' }));
