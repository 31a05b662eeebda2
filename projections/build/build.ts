import type { Pool } from 'pg';
import { OperatorError } from '../../src/errors.js';
import type { EventStore, Position } from '../../src/event-store/event-store.js';
import type { Target } from '../checkpoint.js';

export type Phase =
  'reading' | 'loading' | 'indexing' | 'catching up' | 'verifying' | 'swapping' | 'done' | 'failed';

/** The progress of a rebuild. */
export interface RebuildProgress {
  readonly phase: Phase;
  /** Events processed; in phase `indexing`, indexes built. */
  readonly done: number;
  /** The value of `done` at the end of the phase. */
  readonly total: number;
}

export interface RebuildOptions {
  /** Parks events that can't be applied, and goes on. Otherwise such events fail the verification. */
  readonly allowParked?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (progress: RebuildProgress) => void;
  /** Called each time the swap has to wait, with a list of the sessions that hold a table. */
  readonly onHeldUp?: (holders: string) => void;
  /** For tests: called before each phase. */
  readonly onPhase?: (phase: Phase, shadow: string) => Promise<void>;
}

/** The result of a rebuild. */
export interface RebuildReport {
  readonly events: number;
  readonly parked: number;
  readonly position: Position | undefined;
}

/** The store that a rebuild reads, and the database that a rebuild writes. */
export interface RebuildContext {
  readonly target: Target;
  readonly store: EventStore;
  readonly pool: Pool;
  readonly connectionString: string;
}

/** Another session already does the same work. */
export class RebuildRunning extends OperatorError {}
