import { hidePassword, hideSecrets } from './secrets.js';

test.each([
  ['postgres://me:secret@host:5432/db', 'postgres://me:***@host:5432/db'],
  ['postgres://me:se/cr@e:t@host/db', 'postgres://me:***@host/db'],
  // The URL parser takes this for the host `me`, port 12.
  ['postgres://me:12/secret@host/db', 'postgres://me:***@host/db'],
  ['postgres://me:se%2Fcr%40et@host/db', 'postgres://me:***@host/db'],
  ['postgres://:secret@host/db', 'postgres://:***@host/db'],
  ['postgres://me@host/db?password=secret&ssl=1', 'postgres://me@host/db?password=***&ssl=1'],
  ['postgres://host/db?user=me&PASSWORD=se%20cret', 'postgres://host/db?user=me&PASSWORD=***'],
  ['host=a password=secret dbname=b', 'host=a password=*** dbname=b'],
  ["host=a password='se cr\\'et' dbname=b", 'host=a password=*** dbname=b'],
  ['esdb://admin:se/cret@a:2113,b:2113?tls=true', 'esdb://admin:***@a:2113,b:2113?tls=true'],
  ['esdb+discover://admin:secret@a', 'esdb+discover://admin:***@a'],
  [
    'from postgres://a:secret@b/c to esdb://d:secret@e: refused',
    'from postgres://a:***@b/c to esdb://d:***@e: refused',
  ],
  ['{"url":"postgres://a:se\\"cret@b/c","mail":"x@y"}', '{"url":"postgres://a:***@b/c","mail":"x@y"}'],
])('%s', (text, hidden) => expect(hideSecrets(text)).toBe(hidden));

test('a URL may hold anything in its password', () => {
  expect(hidePassword('esdb://admin:se cr"e\nt@host?tls=false')).toBe('esdb://admin:***@host?tls=false');
  expect(hidePassword('postgres://host/db?password=secret')).toBe('postgres://host/db?password=***');
});

test.each([
  'can’t listen on 127.0.0.1:80: in use',
  'postgres://me@host:5432/db',
  'http://127.0.0.1:3000/docs, or mail me@host',
  '    at file:///app/node_modules/@nestjs/core/index.js:10:5',
])('%s has no password', (text) => expect(hideSecrets(text)).toBe(text));
