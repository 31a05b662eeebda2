import { Logger, type ArgumentsHost, type LoggerService } from '@nestjs/common';
import { DatabaseError } from 'pg';
import { ProblemFilter } from '../../src/http/problem.filter.js';

const lines: unknown[][] = [];
const keep = (...line: unknown[]) => lines.push(line);
beforeEach(() => {
  lines.length = 0;
  Logger.overrideLogger({ log: keep, warn: keep, error: keep } satisfies LoggerService);
});

const ID = '018f3c3a-0000-7000-8000-000000000001';

/** What is logged of an error behind a route. */
function logged(error: unknown): unknown[] {
  const reply = { raw: {}, status: () => reply, headers: () => reply, type: () => reply, send: () => reply };
  const request = {
    id: 'r',
    method: 'GET',
    url: `/rows/Jane/${ID}?search=Jane`,
    params: { name: 'Jane', id: ID },
    routeOptions: { url: '/rows/:name/:id' },
    headers: {},
    changeId: 'Jane Austen',
  };
  const http = { getRequest: () => request, getResponse: () => reply };
  new ProblemFilter().catch(error, { switchToHttp: () => http } as unknown as ArgumentsHost);
  return lines.flat();
}

const failed = (code: string, message: string) =>
  Object.assign(new DatabaseError(message, 0, 'error'), { code });

function thrown(work: () => void): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  return undefined;
}

test.each([
  [
    'of data, by PostgreSQL',
    failed('22P02', 'invalid input syntax for type uuid: "Jane"'),
    'error 22P02: …\n',
  ],
  ['of data, by JavaScript', thrown(() => JSON.parse('{"name": Jane')), 'SyntaxError: …\n'],
  ['of our own', failed('42P01', 'relation "authors" does not exist'), 'error: relation "authors" does'],
])('an unexpected error %s is told with its place, and without what the request said', (_, error, begins) => {
  const [message, stack, ids] = logged(error);
  expect(message).toBe(`GET /rows/:name/${ID}`);
  expect(stack).toContain('\n    at ');
  expect(String(stack).slice(0, begins.length)).toBe(begins);
  expect(ids).toEqual({ requestId: 'r' });
  expect(JSON.stringify(lines)).not.toContain('Jane');
});
