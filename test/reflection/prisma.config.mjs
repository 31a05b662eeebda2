import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';

// For the engine that the package ships. The native engine has to be downloaded, and needs none of this.

const { DATABASE_URL, SCHEMA } = process.env;
/** The adapter doesn't know the types "char" and name of PostgreSQL's own tables. */
const KNOWN = { 18: 1042, 19: 25 };

class Pool extends pg.Pool {
  async query(...args) {
    const result = await super.query(...args);
    for (const field of result.fields) field.dataTypeID = KNOWN[field.dataTypeID] ?? field.dataTypeID;
    // The engine doesn't know that PostgreSQL 18 lists NOT NULL as a constraint: issue 29635 of prisma/orm.
    const type = result.fields.findIndex(({ name }) => name === 'constraint_type');
    if (type >= 0) result.rows = result.rows.filter((row) => row[type] !== 'n');
    return result;
  }
}

export default {
  experimental: { adapter: true },
  engine: 'js',
  adapter: async () => new PrismaPg(new Pool({ connectionString: DATABASE_URL }), { schema: SCHEMA }),
};
