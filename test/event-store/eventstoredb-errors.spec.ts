import { ErrorType } from '@eventstore/db-client';
import { status } from '@grpc/grpc-js';
import { isPassing, outage, READ_ALL } from '../../src/event-store/eventstoredb/errors.js';
import { EventStoreUnavailable, UserRefused } from '../../src/event-store/event-store.js';

const error = (code: number, type?: ErrorType) =>
  Object.assign(new Error('the server’s words'), { code, ...(type && { type }) });

test.each([
  [
    'a missing permission',
    error(status.PERMISSION_DENIED, ErrorType.ACCESS_DENIED),
    'EventStoreDB does not allow the user to read the stream $all',
  ],
  [
    'a wrong password',
    error(status.UNAUTHENTICATED, ErrorType.ACCESS_DENIED),
    'EventStoreDB does not know the user, or the password is wrong',
  ],
  [
    'a wrong password, as the bare connection tells',
    error(status.UNAUTHENTICATED),
    'EventStoreDB does not know the user, or the password is wrong',
  ],
])('%s is told in words, and may be repaired while Colophon runs', (_, refusal, message) => {
  expect(outage(refusal, READ_ALL)).toBeInstanceOf(UserRefused);
  expect(outage(refusal, READ_ALL).message).toBe(message);
  expect(isPassing(refusal)).toBe(true);
});

test('an outage is no refusal, and keeps its cause', () => {
  const away = error(status.UNAVAILABLE, ErrorType.UNAVAILABLE);
  expect(outage(away, READ_ALL)).not.toBeInstanceOf(UserRefused);
  expect(outage(away, READ_ALL).cause).toBe(away);
  const known = new EventStoreUnavailable();
  expect(outage(known, READ_ALL)).toBe(known);
});
