import { Registry } from 'prom-client';
import { newEvent } from '../../test/support/events.js';
import type { EventStore } from '../event-store/event-store.js';
import { MemoryEventStore } from '../event-store/memory/memory-event-store.js';
import { Gauges, type Look, type Standing } from './gauges.js';

const LOOK: Look = { position: undefined, parked: 0, parkedSince: undefined };
const follower = (look: Standing['look'], standsStillSince?: Date): Standing => ({
  name: 'catalogue',
  leads: () => true,
  standsStillSince: () => standsStillSince,
  look,
});

/** Metrics after a scrape that waits for 5 ms, as `name{labels}` and value. */
function scraping(...followers: Standing[]): () => Promise<Record<string, number>> {
  const registry = new Registry();
  const gauges = new Gauges(registry, new MemoryEventStore(), { followers }, 5);
  return async () => {
    await gauges.refresh();
    const lines = (await registry.metrics()).split('\n').filter((line) => /^\w/.test(line));
    return Object.fromEntries(
      lines.map((line) => line.split(' ') as [string, string]).map(([k, v]) => [k, Number(v)]),
    );
  };
}

test('what a follower says of itself is shown', async () => {
  const ago = (seconds: number) => new Date(Date.now() - seconds * 1_000);
  const rebuild = { startedAt: ago(60), endedAt: ago(20), error: 'it was killed' };
  const look = async () => ({ ...LOOK, parked: 3, parkedSince: ago(3_600), rebuild });
  const shown = await scraping(follower(look, ago(90)))();
  expect(shown).toMatchObject({
    'colophon_dependency_up{dependency="postgresql"}': 1,
    'colophon_dependency_up{dependency="event_store"}': 1,
    'colophon_follower_leader{follower="catalogue"}': 1,
    'colophon_follower_lag_positions{follower="catalogue"}': 0,
    'colophon_follower_lag_seconds{follower="catalogue"}': 0,
    'colophon_follower_parked{follower="catalogue"}': 3,
    'colophon_rebuild_running{projection="catalogue"}': 0,
    'colophon_rebuild_failed{projection="catalogue"}': 1,
  });
  expect(shown['colophon_follower_standstill_seconds{follower="catalogue"}']).toBeGreaterThanOrEqual(90);
  expect(shown['colophon_follower_parked_oldest_seconds{follower="catalogue"}']).toBeGreaterThanOrEqual(
    3_600,
  );
  expect(shown['colophon_rebuild_duration_seconds{projection="catalogue"}']).toBeCloseTo(40, 0);
});

test('open tasks are shown, of policies only', async () => {
  const tasks = { open: 2, openSince: new Date(Date.now() - 5_000) };
  const shown = await scraping(follower(async () => ({ ...LOOK, tasks })))();
  expect(shown['colophon_policy_tasks_open']).toBe(2);
  expect(shown['colophon_policy_task_oldest_seconds']).toBeGreaterThanOrEqual(5);
  expect(Object.keys(shown).filter((name) => name.includes('rebuild'))).toEqual([]);
});

test('what does not answer has no value, is told as not up, and is not asked again meanwhile', async () => {
  let asked = 0;
  let answer: (look: Look) => void = () => undefined;
  const scrape = scraping(
    follower(() => {
      asked += 1;
      return new Promise((resolve) => (answer = resolve));
    }),
  );
  for (let scrapes = 0; scrapes < 3; scrapes += 1) {
    const shown = await scrape();
    expect(shown).toMatchObject({
      'colophon_dependency_up{dependency="postgresql"}': 0,
      'colophon_dependency_up{dependency="event_store"}': 1,
      'colophon_follower_leader{follower="catalogue"}': 1,
    });
    expect(Object.keys(shown).filter((name) => /lag|parked|task|rebuild/.test(name))).toEqual([]);
  }
  expect(asked).toBe(1);
  answer(LOOK);
  await new Promise(setImmediate);
  const late = scrape();
  answer(LOOK);
  expect(await late).toMatchObject({
    'colophon_dependency_up{dependency="postgresql"}': 1,
    'colophon_follower_lag_positions{follower="catalogue"}': 0,
  });
});

test('a search for the oldest event that never ends is not begun again by the next scrape', async () => {
  const registry = new Registry();
  const store = new MemoryEventStore();
  await store.append('author-1', 'no-stream', [newEvent()]);
  let begun = 0;
  const endless = async function* (): AsyncIterable<never> {
    begun += 1;
    yield await new Promise<never>(() => undefined);
  };
  const slow = Object.assign(Object.create(store) as EventStore, { readAll: endless });
  const gauges = new Gauges(registry, slow, { followers: [follower(async () => LOOK)] }, 5);
  for (let scrapes = 0; scrapes < 2; scrapes += 1) await gauges.refresh();
  expect(await registry.metrics()).toContain('colophon_follower_lag_positions{follower="catalogue"} 1\n');
  expect(await registry.metrics()).not.toContain('colophon_follower_lag_seconds{');
  expect(begun).toBe(1);
});

test('an error is no answer, and the next scrape asks again', async () => {
  const looks = [async () => Promise.reject(new Error('away')), async () => LOOK];
  const scrape = scraping(follower(() => looks.shift()?.() ?? Promise.reject(new Error('asked too often'))));
  for (const up of [0, 1])
    expect(await scrape()).toMatchObject({ 'colophon_dependency_up{dependency="postgresql"}': up });
});
