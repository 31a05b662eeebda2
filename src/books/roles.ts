/**
 * An author's work on a book, with the codes of the two vocabularies that libraries and booksellers use:
 * MARC relators (id.loc.gov/vocabulary/relators) and ONIX code list 17.
 */
export const ROLES = {
  author: { marc: 'aut', onix: 'A01' },
  editor: { marc: 'edt', onix: 'B01' },
  translator: { marc: 'trl', onix: 'B06' },
  illustrator: { marc: 'ill', onix: 'A12' },
  foreword: { marc: 'wfw', onix: 'A23' },
  introduction: { marc: 'win', onix: 'A24' },
  afterword: { marc: 'waw', onix: 'A19' },
  narrator: { marc: 'nrt', onix: 'E03' },
  compiler: { marc: 'com', onix: 'C01' },
  contributor: { marc: 'ctb', onix: 'Z99' },
} as const;

export type Role = keyof typeof ROLES;

export const ROLE_NAMES = Object.keys(ROLES) as [Role, ...Role[]];

/** A set of roles in one fixed order, so that equal sets are equal lists. */
export const roleSet = (roles: readonly Role[]): Role[] => ROLE_NAMES.filter((role) => roles.includes(role));
