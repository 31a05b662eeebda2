import '../support/on-eventstoredb.js';
import '../e2e/commands.e2e-spec.js';
