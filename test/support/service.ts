import { createDatabase, type TestDatabase } from './database.js';
import { createLog } from './log.js';
import { startService, type RunningService } from './process.js';

/** A service of the test file's own: a real process on a free port with a database of its own, spoken to over HTTP. */
export interface TestService {
  readonly url: string;
  readonly database: TestDatabase;
  /** What it was told, for other programs on the same data. */
  readonly env: Record<string, string>;
  readonly running: RunningService;
  readonly request: (method: string, path: string, options?: RequestOptions) => Promise<Answer>;
  /** Ends the process, cleanly or by a signal, and starts another on the same database. */
  readonly restart: (signal?: NodeJS.Signals) => Promise<void>;
  readonly stop: () => Promise<void>;
}

export interface RequestOptions {
  readonly body?: unknown;
  /** Sent as it is, instead of a body to be put in JSON. */
  readonly raw?: string | Uint8Array<ArrayBuffer>;
  readonly headers?: Record<string, string>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The parsed body; undefined where there is none or it isn't JSON. */
  readonly body: any;
}

export async function send(url: string, method: string, options: RequestOptions = {}): Promise<Answer> {
  const { body, raw, headers } = options;
  const payload = raw ?? (body === undefined ? undefined : JSON.stringify(body));
  const response = await fetch(url, {
    method,
    redirect: 'manual',
    headers: { ...(payload !== undefined && { 'content-type': 'application/json' }), ...headers },
    ...(payload !== undefined && { body: payload }),
  });
  const text = await response.text();
  const json = /^application\/(problem\+)?json/.test(response.headers.get('content-type') ?? '');
  return {
    status: response.status,
    headers: response.headers,
    text,
    body: json && text ? JSON.parse(text) : undefined,
  };
}

export async function createService(env: Record<string, string> = {}): Promise<TestService> {
  const database = await createDatabase();
  const log = await createLog();
  const settings = { DATABASE_URL: database.url, ...log.env, ...env };
  const start = () => startService(settings);
  let running = await start();
  const end = async (signal: NodeJS.Signals = 'SIGTERM') => {
    running.process.kill(signal);
    await running.ended;
  };
  return {
    get url() {
      return running.url;
    },
    get running() {
      return running;
    },
    database,
    env: settings,
    request: (method, path, options) => send(`${running.url}${path}`, method, options),
    restart: async (signal) => {
      await end(signal);
      running = await start();
    },
    stop: async () => {
      await end();
      await log.drop();
      await database.drop();
    },
  };
}
