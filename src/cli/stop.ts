import { stackOf } from '../postgres/errors.js';
import { beginProgram, hideSecretsIn } from '../program.js';

hideSecretsIn(process.stderr);

/** Stops the command that runs in this process. Standard output isn't looked into: it may hold data, such as the log. */
export const stop = beginProgram((what, error) => {
  process.exitCode = 1;
  process.stderr.write(`colophon: ${what}: ${stackOf(error)}\n`);
});
