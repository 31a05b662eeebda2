import '../support/on-eventstoredb.js';
import '../e2e/moments.e2e-spec.js';
