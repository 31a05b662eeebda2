import '../support/on-eventstoredb.js';
import '../e2e/manners.e2e-spec.js';
