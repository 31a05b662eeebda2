import { channel } from 'node:diagnostics_channel';

/** Something that happens often, told to whoever listens. Without a listener, telling costs next to nothing. */
export interface Signal<T> {
  readonly tell: (happened: T) => void;
  /** Whether anybody listens, for what would cost something to find out. */
  readonly isHeard: () => boolean;
  /**
   * @param listener must not throw.
   * @returns ends the listening.
   */
  readonly hear: (listener: (happened: T) => void) => () => void;
}

function signal<T>(name: string): Signal<T> {
  const told = channel(`colophon:${name}`);
  return {
    tell: (happened) => told.publish(happened),
    isHeard: () => told.hasSubscribers,
    hear: (listener) => {
      const heard = (message: unknown) => listener(message as T);
      told.subscribe(heard);
      return () => void told.unsubscribe(heard);
    },
  };
}

/** The answer to a request ended, or its connection did. */
export const requestEnded = signal<{
  readonly method: string;
  /** Template of the route; undefined if the request reached none. */
  readonly route: string | undefined;
  /** Of the answer; `aborted` if the answer was not sent as a whole. */
  readonly status: number | 'aborted';
  readonly seconds: number;
}>('request-ended');

/** A command ended. Not told of the lines of an import, nor of dry runs. */
export const commandEnded = signal<{
  /** Name of the command's class. */
  readonly command: string;
  readonly outcome: CommandOutcome;
  readonly seconds: number;
}>('command-ended');
export const COMMAND_OUTCOMES = [
  'done',
  'unchanged',
  'repeated',
  'refused',
  'unavailable',
  'failed',
] as const;
export type CommandOutcome = (typeof COMMAND_OUTCOMES)[number];

/** The event store answered an append. */
export const appendEnded = signal<{
  readonly outcome: AppendOutcome;
  readonly events: number;
  readonly seconds: number;
}>('append-ended');
export const APPEND_OUTCOMES = ['written', 'conflict', 'refused', 'unavailable'] as const;
export type AppendOutcome = (typeof APPEND_OUTCOMES)[number];

/** An append met its own events in the log: an earlier try, whose outcome was unknown, had written them. */
export const appendSettled = signal<void>('append-settled');

/** PostgreSQL committed a group of so many appends. */
export const groupCommitted = signal<number>('group-committed');

/** A follower took in a batch at the log's order, in one or more transactions. */
export const batchTaken = signal<{
  /** Name of the projection, or `policies`. */
  readonly follower: string;
  readonly events: number;
  readonly seconds: number;
}>('batch-taken');

/** A line of an import ended. Not told of dry runs. */
export const lineImported = signal<LineOutcome>('line-imported');
export const LINE_OUTCOMES = ['added', 'changed', 'unchanged', 'failed'] as const;
export type LineOutcome = (typeof LINE_OUTCOMES)[number];
