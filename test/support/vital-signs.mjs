// Loaded into a program by `NODE_OPTIONS`: at its end, tells of promises that rejected unheard, of memory, and of the event loop.
import { monitorEventLoopDelay } from 'node:perf_hooks';

let unheard = 0;
process.on('unhandledRejection', () => (unheard += 1));
const delay = monitorEventLoopDelay({ resolution: 10 });
delay.enable();
process.on('exit', () => {
  const signs = {
    unheard,
    peakMegabytes: Math.round(process.resourceUsage().maxRSS / 1024),
    longestDelayMs: Math.round(delay.max / 1e6),
  };
  process.stderr.write(`vital signs ${JSON.stringify(signs)}\n`);
});
