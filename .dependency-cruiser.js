// Import rules, each a sentence. `npm run lint` holds them; `test/import-rules.spec.ts` shows that each of them fires.

const FEATURES = '^src/(authors|books|changes|operations|imports|audit|policies|access|telemetry)/';
/** Files that join the two sides: what opens both, what lists both, and the commands of operators. */
const COMPOSITION = '^src/(app\\.module|resources|resources\\.module)\\.ts$|^src/cli/';
const EVENT_TYPES =
  '^src/(authors|books|changes|operations)/[a-z-]+\\.events\\.ts$|^src/books/(roles|role-schemas)\\.ts$|^src/(ids|stored-data)\\.ts$';
const PORT = '^src/event-store/[a-z-]+\\.ts$';
const DECISIONS =
  '^src/(authors/author(-reversal)?|books/book(-reversal|-cascade)?|books/roles|operations/operations|changes/(change|provenance|reversal)|text|redirect|domain-error|stored-data)\\.ts$|^src/.*\\.events\\.ts$';

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    {
      name: 'projections know only event types, the event store port, followers, errors, signals, and the Postgres and HTTP helpers',
      comment: 'The read side must be able to be built again from the log alone.',
      severity: 'error',
      from: { path: '^projections/' },
      to: {
        path: '^src/',
        pathNot: `${EVENT_TYPES}|${PORT}|^src/(followers|postgres|http)/[a-z.-]+\\.ts$|^src/(errors|signals)\\.ts$`,
      },
    },
    {
      name: 'src does not know projections',
      comment: 'Only what composes the service joins the two sides: a decision never reads a table.',
      severity: 'error',
      from: { path: '^src/', pathNot: COMPOSITION },
      to: { path: '^projections/' },
    },
    {
      name: 'http and postgres know no feature',
      comment: 'Helpers that know a feature can serve no other.',
      severity: 'error',
      from: { path: '^src/(http|postgres)/' },
      to: { path: `${FEATURES}|^projections/|^src/(cli|resources|app\\.module)` },
    },
    {
      name: 'followers know no feature',
      comment: 'The projector, policies and whatever else follows the log share them.',
      severity: 'error',
      from: { path: '^src/followers/' },
      to: { path: `${FEATURES}|^projections/` },
    },
    {
      name: 'the event store knows no feature',
      comment: 'An adapter that knows the categories of streams hides those of the next feature.',
      severity: 'error',
      from: { path: '^src/event-store/' },
      to: { path: `${FEATURES}|^src/(commands|followers|http)/|^projections/` },
    },
    {
      name: 'decisions are pure',
      comment: 'No framework, no clock, no I/O: they are tested without any of them.',
      severity: 'error',
      from: { path: DECISIONS, pathNot: '\\.spec\\.ts$' },
      to: { pathNot: `${DECISIONS}` },
    },
    {
      name: 'only resources picks an event store',
      comment: 'Everybody else works with the port, so that a store can be exchanged for another.',
      severity: 'error',
      from: { path: '^(src|projections)/', pathNot: '^src/(event-store/|resources\\.ts$)|\\.spec\\.ts$' },
      to: { path: '^src/event-store/(postgres|eventstoredb|memory)/' },
    },
    {
      name: 'adapters of the event store do not know each other',
      comment: 'What two of them need stands beside the port.',
      severity: 'error',
      from: { path: '^src/event-store/(postgres|eventstoredb|memory)/' },
      to: { path: '^src/event-store/(postgres|eventstoredb|memory)/', pathNot: '^src/event-store/$1/' },
    },
    {
      name: 'signals know nobody',
      comment: 'Every room tells what happens in it. None knows who listens.',
      severity: 'error',
      from: { path: '^src/signals\\.ts$' },
      to: { path: '^(src|projections)/' },
    },
    {
      name: 'only telemetry knows the library of metrics',
      comment: 'The rooms tell what happens, whatever counts it.',
      severity: 'error',
      from: { path: '^(src|projections)/', pathNot: '^src/telemetry/' },
      to: { path: 'prom-client' },
    },
    {
      name: 'files do not import each other in a circle',
      comment: 'A circle can be neither read nor loaded from one end.',
      severity: 'error',
      from: { path: '^(src|projections)/' },
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
  },
};
