import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** The system user that runs the server. */
export interface ServerUser {
  readonly uid: number;
  readonly gid: number;
}

/**
 * PostgreSQL refuses to run as root. If we are root, an existing unprivileged user runs the server: `postgres` if that
 * user exists, otherwise `nobody`, which every Unix has. No user is created.
 * @returns undefined if the user of this process can run the server.
 */
export function serverUser(): ServerUser | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const accounts = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  for (const name of ['postgres', 'nobody']) {
    const account = accounts.find(([user]) => user === name);
    if (account?.[2] && account[3]) return { uid: Number(account[2]), gid: Number(account[3]) };
  }
  throw new Error('no unprivileged user (postgres or nobody) to run the embedded PostgreSQL');
}

/** Whether the user can enter every directory on the way to `path`, and read the content of `path`. */
export function canReach(user: ServerUser | undefined, path: string): boolean {
  const { status } = spawnSync('/bin/sh', ['-c', 'cd "$1" && ls .', 'sh', path], {
    ...user,
    cwd: '/',
    stdio: 'ignore',
  });
  return status === 0;
}
