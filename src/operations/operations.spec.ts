import { scenarios } from '../../test/support/given.js';
import { begun, foldOn } from '../commands/streams.js';
import type { RecordedEvent } from '../event-store/event-store.js';
import {
  evolveOperations,
  MAX_SKIPPED,
  noOperations,
  operationsOf,
  skipEvent,
  tellAct,
} from './operations.js';
import { skippedBy, type Act, type OperationEvent } from './operations.events.js';

const given = scenarios(noOperations, evolveOperations);
const event = (n: number) => ({
  stream: 'author-018f3c3a-0000-7000-8000-000000000001',
  revision: `${n}`,
  eventId: `018f3c3a-0000-7000-8000-${String(n).padStart(12, '0')}`,
});
const skipped = (n: number): OperationEvent => ({ type: 'EventSkipped', data: event(n) });

test('an event is skipped once', () => {
  given()
    .when((state) => skipEvent(state, event(1)))
    .then(skipped(1));
  given(skipped(1))
    .when((state) => skipEvent(state, event(2)))
    .then(skipped(2));
  given(skipped(1), skipped(2))
    .when((state) => skipEvent(state, event(1)))
    .nothing();
});

test('an act is told as often as it was done; a complete copy once, as long as nothing came after it', () => {
  const tables = { projection: 'catalogue', schema: 'catalogue', version: 1 };
  const rebuilt: Act = {
    type: 'TablesRebuilt',
    data: { ...tables, position: null, events: 0, parked: 0, rows: 0 },
  };
  const copied = (events: number): Act => ({ type: 'LogTransferred', data: { from: 'a log', events } });
  const tell = (act: Act, ...before: OperationEvent[]) =>
    given(...before).when((state) => tellAct(state, act));
  tell(rebuilt, rebuilt).then(rebuilt);
  tell(copied(3), rebuilt).then(copied(3));
  tell(copied(3), copied(3), rebuilt).nothing();
  tell(copied(4), copied(3)).then(copied(4));
  tell({ type: 'LogTransferred', data: { from: 'another log', events: 3 } }, copied(3)).then({
    type: 'LogTransferred',
    data: { from: 'another log', events: 3 },
  });
  given(rebuilt, copied(3), skipped(1))
    .when((state) => skipEvent(state, event(1)))
    .nothing();
});

test('an act that only a newer version knows is no skip, and is in nobody’s way', () => {
  const newer = { type: 'TablesPainted', data: event(1) } as unknown as OperationEvent;
  given(newer)
    .when((state) => skipEvent(state, event(1)))
    .then(skipped(1));
});

test('what another program wrote into the stream, or deleted from the stream, is in nobody’s way', () => {
  const foreign = { type: 'EventSkipped', data: { nonsense: true }, revision: 3n, unreadable: 'no metadata' };
  const events = [foreign, { ...skipped(1), revision: 7n }] as unknown as RecordedEvent[];
  const of = operationsOf('catalogue');
  const { state, last } = foldOn(of, begun(of), events);
  expect(state.skipped).toEqual([event(1).eventId]);
  expect(last?.revision).toBe(7n);
});

test('the number of skipped events is bounded', () => {
  given(...Array.from({ length: MAX_SKIPPED }, (_, n) => skipped(n)))
    .when((state) => skipEvent(state, event(MAX_SKIPPED)))
    .refuses('too-many-skipped');
});

test.each([
  ['another act', { type: 'TablesPainted', data: event(1) }],
  ['no stream', { type: 'EventSkipped', data: { ...event(1), stream: undefined } }],
  ['a revision that is no number', { type: 'EventSkipped', data: { ...event(1), revision: '-1' } }],
  ['an id that is no UUID', { type: 'EventSkipped', data: { ...event(1), eventId: 'x' } }],
])('%s skips nothing', (_, act) => {
  expect(skippedBy(act)).toBeUndefined();
});
