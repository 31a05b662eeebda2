import { Counter, Histogram, type Registry } from 'prom-client';
import {
  APPEND_OUTCOMES,
  appendEnded,
  appendSettled,
  batchTaken,
  COMMAND_OUTCOMES,
  commandEnded,
  groupCommitted,
  LINE_OUTCOMES,
  lineImported,
  requestEnded,
} from '../signals.js';

/** Commands and appends take from less than a millisecond to some seconds. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** Lists and pages of the log take longer than commands, imports and live readers up to hours. */
const REQUEST_SECONDS = [...SECONDS, 60];
/** Classes of status, by their first digit. */
const STATUSES = ['none', '1xx', '2xx', '3xx', '4xx', '5xx'];
/** The largest group has 1,000 appends, the largest batch 5,000 events. */
const SIZES = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000];

/**
 * Counts what the service tells of. Each label has few values, whatever callers send: no id, subject or URL is one.
 * @returns ends the counting.
 */
export function countSignals(registry: Registry): () => void {
  const registers = [registry];
  const requests = new Histogram({
    name: 'colophon_http_request_duration_seconds',
    help: 'Time of a request, from its headers to the end of the answer',
    labelNames: ['method', 'route', 'status'],
    buckets: REQUEST_SECONDS,
    registers,
  });
  const commands = new Counter({
    name: 'colophon_commands_total',
    help: 'Commands that ended',
    labelNames: ['command', 'outcome'],
    registers,
  });
  const commandSeconds = new Histogram({
    name: 'colophon_command_duration_seconds',
    help: 'Time of a command, from dispatch to result',
    labelNames: ['command'],
    buckets: SECONDS,
    registers,
  });
  const appends = new Counter({
    name: 'colophon_appends_total',
    help: 'Appends that the event store answered; a command appends again after a conflict',
    labelNames: ['outcome'],
    registers,
  });
  const written = new Counter({
    name: 'colophon_appended_events_total',
    help: 'Events that this process has written',
    registers,
  });
  const appendSeconds = new Histogram({
    name: 'colophon_append_duration_seconds',
    help: 'Time of an append, the wait for other appends included',
    buckets: SECONDS,
    registers,
  });
  const settled = new Counter({
    name: 'colophon_appends_settled_total',
    help: 'Appends whose events were found in the log, written by an earlier try of unknown outcome',
    registers,
  });
  const groups = new Histogram({
    name: 'colophon_append_group_size',
    help: 'Appends in one commit; none on EventStoreDB',
    buckets: SIZES,
    registers,
  });
  const batches = new Histogram({
    name: 'colophon_follower_batch_events',
    help: 'Events in a batch of a follower',
    labelNames: ['follower'],
    buckets: SIZES,
    registers,
  });
  const batchSeconds = new Histogram({
    name: 'colophon_follower_batch_duration_seconds',
    help: 'Time that a follower took for a batch',
    labelNames: ['follower'],
    buckets: SECONDS,
    registers,
  });
  const lines = new Counter({
    name: 'colophon_import_lines_total',
    help: 'Lines of imports, without dry runs',
    labelNames: ['outcome'],
    registers,
  });
  // A counter that begins with its first failure shows Prometheus no rise.
  for (const outcome of APPEND_OUTCOMES) appends.inc({ outcome }, 0);
  for (const outcome of LINE_OUTCOMES) lines.inc({ outcome }, 0);
  const seen = new Set<string>();
  const ends = [
    // A request that reaches no route has neither template nor method.
    requestEnded.hear(({ method, route, status, seconds }) => {
      const kind = status === 'aborted' ? status : (STATUSES[Math.floor(status / 100)] ?? 'none');
      if (route === undefined) requests.observe({ method: 'any', route: 'none', status: kind }, seconds);
      else requests.observe({ method, route, status: kind }, seconds);
    }),
    commandEnded.hear(({ command, outcome, seconds }) => {
      if (!seen.has(command)) for (const one of COMMAND_OUTCOMES) commands.inc({ command, outcome: one }, 0);
      seen.add(command);
      commands.inc({ command, outcome });
      commandSeconds.observe({ command }, seconds);
    }),
    appendEnded.hear(({ outcome, events, seconds }) => {
      appends.inc({ outcome });
      appendSeconds.observe(seconds);
      if (outcome === 'written') written.inc(events);
    }),
    appendSettled.hear(() => settled.inc()),
    groupCommitted.hear((size) => groups.observe(size)),
    batchTaken.hear(({ follower, events, seconds }) => {
      // A batch without events says that the follower has caught up.
      if (events === 0) return;
      batches.observe({ follower }, events);
      batchSeconds.observe({ follower }, seconds);
    }),
    lineImported.hear((outcome) => lines.inc({ outcome })),
  ];
  return () => ends.forEach((end) => end());
}
