import '../support/on-eventstoredb.js';
import '../e2e/orm.e2e-spec.js';
