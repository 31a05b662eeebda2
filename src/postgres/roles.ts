/**
 * The login for SQL clients: reads the read tables, and nothing else. The embedded server has this login. On other
 * servers an operator creates it.
 */
export const READER = 'catalogue_reader';

/** The login of the service on the embedded server: owns the tables, and can only read the log and append to it. */
export const SERVICE = 'colophon_service';
