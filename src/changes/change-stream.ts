import { changeStreamIdOf } from '../ids.js';
import { CHANGE } from './change.events.js';

/** The stream that tells whether a change was reverted. */
export const changeStream = (change: string): string => `${CHANGE}-${changeStreamIdOf(change)}`;
