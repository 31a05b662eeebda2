import { randomUUID } from 'node:crypto';
import { chownSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { OperatorError } from '../../errors.js';
import { APPLICATION_NAME } from '../database.js';
import { publish, type Binaries } from './locations.js';
import { run } from './run.js';
import type { ServerUser } from './server-user.js';

/** Arguments of initdb. Order and case are those of Unicode's code points, whatever the operating system has. */
export const LOCALE: readonly string[] = [
  '--locale-provider=builtin',
  '--builtin-locale=C.UTF-8',
  '--no-locale',
];

/** Sets up a temporary folder, then renames the folder: a start killed halfway leaves nothing that looks finished. */
export async function initialise(
  binaries: Binaries,
  user: ServerUser | undefined,
  folder: string,
  password: string,
  locale: readonly string[],
) {
  const fresh = `${folder}.${randomUUID()}`;
  const passwordFile = `${fresh}.password`;
  try {
    mkdirSync(fresh, { mode: 0o700 });
    writeFileSync(passwordFile, password, { mode: 0o600 });
    if (user) for (const path of [fresh, passwordFile]) chownSync(path, user.uid, user.gid);
    await run(
      binaries.initdb,
      [
        '-D',
        fresh,
        '-U',
        APPLICATION_NAME,
        `--pwfile=${passwordFile}`,
        '--auth=scram-sha-256',
        '-E',
        'UTF8',
        ...locale,
        '--data-checksums',
      ],
      user,
      dirname(folder),
    );
    publish(fresh, folder);
  } catch (error) {
    rmSync(fresh, { recursive: true, force: true });
    throw new OperatorError(
      `the embedded PostgreSQL can't be set up: ${lastLine((error as Error).message)}`,
      {
        cause: error,
      },
    );
  } finally {
    rmSync(passwordFile, { force: true });
  }
}

const lastLine = (text: string): string => text.trim().split('\n').at(-1) ?? '';
