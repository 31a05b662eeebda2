import { HttpAdapterHost } from '@nestjs/core';
import { MemoryEventStore } from '../event-store/memory/memory-event-store.js';
import { Metrics } from './metrics.js';

test('scrapes at the same time share one look', async () => {
  let looks = 0;
  const follower = {
    name: 'catalogue',
    leads: () => true,
    standsStillSince: () => undefined,
    look: async () => {
      looks += 1;
      return { position: undefined, parked: 0, parkedSince: undefined };
    },
  };
  const metrics = new Metrics(new MemoryEventStore(), { followers: [follower] }, new HttpAdapterHost());
  const [one, ...others] = await Promise.all(Array.from({ length: 100 }, () => metrics.text()));
  expect(one).toContain('\ncolophon_follower_parked{follower="catalogue"} 0\n');
  expect([looks, new Set([one, ...others]).size]).toEqual([1, 1]);
  await metrics.text();
  expect(looks).toBe(2);
});
