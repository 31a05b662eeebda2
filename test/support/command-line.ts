import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { ROOT } from './process.js';

const helps = new Map<string, Promise<string>>();

/** The help of a command, or of the program if no command is named. */
export function help(...command: string[]): Promise<string> {
  const key = command.join(' ');
  const asked =
    helps.get(key) ??
    promisify(execFile)(process.execPath, ['bin/colophon.js', ...command, '--help'], { cwd: ROOT }).then(
      ({ stdout }) => stdout,
    );
  helps.set(key, asked);
  return asked;
}

/** The names of the commands in a help text. */
export const commandsIn = (text: string): string[] =>
  [...(text.split('\nCommands:\n')[1] ?? '').matchAll(/^ {2}([a-z]+)/gm)]
    .map(([, name = '']) => name)
    .filter((name) => name !== 'help');

/** The words of every command that the program has, such as `parked list`. A group, such as `parked`, is none. */
export async function allCommands(): Promise<string[][]> {
  const names = await Promise.all(
    commandsIn(await help()).map(async (name) => {
      const inner = commandsIn(await help(name));
      return inner.length > 0 ? inner.map((second) => [name, second]) : [[name]];
    }),
  );
  return names.flat();
}
