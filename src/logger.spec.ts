import { jest } from '@jest/globals';
import { Logger, type LogLevel } from '@nestjs/common';
import type { Config } from './config.js';
import { createLogger } from './logger.js';

const ALL: readonly LogLevel[] = ['fatal', 'error', 'warn', 'log', 'debug', 'verbose'];

const shownAt: readonly [Config['logLevel'], number][] = [
  ['silent', 0],
  ['fatal', 1],
  ['error', 2],
  ['warn', 3],
  ['info', 3],
  ['debug', 5],
  ['trace', 6],
];

test.each(shownAt)('at %s, the first %d kinds of log lines are shown', (logLevel, count) => {
  const logger = createLogger({ logLevel, logFormat: undefined });
  expect(ALL.filter((level) => logger.isLevelEnabled(level))).toEqual(ALL.slice(0, count));
});

/** What is written to stdout meanwhile. */
function written(work: () => void): string[] {
  const lines: string[] = [];
  const write = jest.spyOn(process.stdout, 'write').mockImplementation((text) => {
    lines.push(String(text));
    return true;
  });
  try {
    work();
  } finally {
    write.mockRestore();
  }
  return lines;
}

const warn = (logFormat: Config['logFormat']) => {
  Logger.overrideLogger(createLogger({ logLevel: 'trace', logFormat }));
  return written(() => {
    new Logger('here').warn('two\nlines', { requestId: 'r 1', level: 'none', changeId: 'c' });
    new Logger('here').log('more');
    new Logger('here').verbose('most');
  });
};

test('a line of JSON has level, time, message, context and ids, and no id takes their names', () => {
  const lines = warn('json');
  expect(lines.every((line) => line.endsWith('}\n'))).toBe(true);
  const [first, ...others] = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(first).toEqual({
    level: 'warn',
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/) as string,
    pid: process.pid,
    message: 'two\nlines',
    context: 'here',
    requestId: 'r 1',
    changeId: 'c',
  });
  expect(others.map(({ level }) => level)).toEqual(['info', 'trace']);
});

test('a line of text has the same', () => {
  const [line = ''] = warn('text');
  for (const part of ['WARN', '[here]', 'two\nlines', "requestId: 'r 1'", "changeId: 'c'"])
    expect(line).toContain(part);
});
