import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { passwordOfRole } from '../../src/postgres/embedded/password.js';
import { SERVICE } from '../../src/postgres/roles.js';
import type { Running } from './process.js';

/** URL of the embedded server's owner, as operators put it together. */
export function ownerUrlOf(dataDir: string): string {
  const [password = '', port = ''] = ['password', 'port'].map((file) =>
    readFileSync(join(dataDir, file), 'utf8').trim(),
  );
  return `postgres://colophon:${password}@127.0.0.1:${port}/colophon`;
}

/** URL of the service's own login, which nobody is told. */
export function serviceUrlOf(dataDir: string): string {
  const url = new URL(ownerUrlOf(dataDir));
  [url.username, url.password] = [SERVICE, passwordOfRole(SERVICE, url.password)];
  return url.href;
}

/** URL that the start of a service prints for SQL clients. */
export const printedUrl = (service: Running): string =>
  /SQL clients +(\S+)/.exec(service.output())?.[1] ?? '';
