import '../support/on-eventstoredb.js';
import '../e2e/audit.e2e-spec.js';
