import type { Policies } from './policies.js';
import type { PolicyTables } from './policy-tables.js';

/** What an operator watches of policies. Only `look` asks the database. */
export const standingOfPolicies = (policies: Policies, tables: PolicyTables) => ({
  name: 'policies',
  leads: () => policies.active,
  standsStillSince: () => policies.trouble?.since,
  look: async () => {
    const { position } = await policies.status();
    const { parked, parkedSince, open, openSince } = await tables.counts();
    return { position, parked, parkedSince, tasks: { open, openSince } };
  },
});
