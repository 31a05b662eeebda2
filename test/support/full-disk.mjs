import { spawn } from 'node:child_process';
import { openSync } from 'node:fs';

// Runs a program whose standard output is a full disk.
const child = spawn(process.execPath, process.argv.slice(2), {
  stdio: ['ignore', openSync('/dev/full', 'w'), 'inherit'],
});
child.on('exit', (code) => (process.exitCode = code ?? 1));
