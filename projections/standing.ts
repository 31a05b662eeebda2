import type { RunningProjection } from './projections.js';

/** What an operator watches of a projection. Only `look` asks the database. */
export const standingOf = ({ projector, maintenance }: RunningProjection) => ({
  name: maintenance.name,
  leads: () => projector.active,
  standsStillSince: () => projector.standsStillSince,
  look: async () => {
    const { position, parked } = await projector.status();
    const parkedSince = parked > 0 ? await maintenance.parkedSince() : undefined;
    return { position, parked, parkedSince, rebuild: await maintenance.rebuildOf() };
  },
});
