import { z } from 'zod';
import { ROLE_NAMES, roleSet } from './roles.js';

export const role = z.enum(ROLE_NAMES);

/** The roles of a link, at least one; a set in one fixed order after parsing. */
export const roles = z.array(role).min(1).max(ROLE_NAMES.length).transform(roleSet);
