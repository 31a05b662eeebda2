import { Logger, type LoggerService } from '@nestjs/common';
import { DatabaseError } from 'pg';
import { EventStoreUnavailable } from '../event-store/event-store.js';
import { toldIfBroken } from './told-if-broken.js';

test('lines that break off are told with the ids of their request, and without what the error quotes', async () => {
  const told: unknown[][] = [];
  const keep = (...line: unknown[]) => told.push(line);
  Logger.overrideLogger({ log: keep, warn: keep, error: keep } satisfies LoggerService);
  const quoting = Object.assign(new DatabaseError('invalid input syntax: "Jane"', 0, 'error'), {
    code: '22P02',
  });
  const lines = async function* () {
    yield 'first';
    throw new EventStoreUnavailable(quoting);
  };
  const read = async () => {
    for await (const line of toldIfBroken(lines(), { isValid: () => true }, { requestId: 'r' }))
      expect(line).toBe('first');
  };
  await expect(read()).rejects.toThrow('broke off');
  expect(told).toEqual([
    [
      'an answer of lines broke off: the event store is unavailable: error 22P02',
      { requestId: 'r' },
      'audit',
    ],
  ]);
});
