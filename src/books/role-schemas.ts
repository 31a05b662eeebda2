import { z } from 'zod';
import { list } from '../http/schemas.js';
import { ROLE_NAMES } from './roles.js';

export const role = z.enum(ROLE_NAMES);

/** The roles of a link, at least one. */
export const roles = list(role, { min: 1, max: ROLE_NAMES.length });
