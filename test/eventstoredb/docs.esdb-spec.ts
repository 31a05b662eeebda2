import '../support/on-eventstoredb.js';
import '../docs.e2e-spec.js';
