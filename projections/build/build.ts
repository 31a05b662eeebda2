import type { Pool } from 'pg';
import { OperatorError } from '../../src/errors.js';
import type { EventStore, Position } from '../../src/event-store/event-store.js';
import type { Target } from '../checkpoint.js';

export type Phase =
  'reading' | 'loading' | 'indexing' | 'catching up' | 'verifying' | 'swapping' | 'done' | 'failed';

/** How far a rebuild is. */
export interface RebuildProgress {
  readonly phase: Phase;
  /** Events dealt with; of `indexing`, indexes. */
  readonly done: number;
  /** What `done` will be at the end of the phase. */
  readonly total: number;
}

export interface RebuildOptions {
  /** Goes on where events can't be applied, and parks them; otherwise they fail the verification. */
  readonly allowParked?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (progress: RebuildProgress) => void;
  /** Told every time the swap has to wait: who holds a table. */
  readonly onHeldUp?: (holders: string) => void;
  /** For tests: called before each phase. */
  readonly onPhase?: (phase: Phase, shadow: string) => Promise<void>;
}

/** What was rebuilt. */
export interface RebuildReport {
  readonly events: number;
  readonly parked: number;
  readonly position: Position | undefined;
}

/** The databases that a rebuild works between. */
export interface RebuildContext {
  readonly target: Target;
  readonly store: EventStore;
  readonly pool: Pool;
  readonly connectionString: string;
}

/** Somebody else is at it. */
export class RebuildRunning extends OperatorError {}
