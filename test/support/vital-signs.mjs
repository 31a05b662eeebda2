// Loaded into a program by `NODE_OPTIONS`: at its end, tells of promises that rejected unheard, of memory, and of the event loop.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setInterval } from 'node:timers';

let unheard = 0;
process.on('unhandledRejection', () => (unheard += 1));
const delay = monitorEventLoopDelay({ resolution: 10 });
delay.enable();

let busiest = 0;
let used = 0;
const turn = () => {
  const { user, system } = process.cpuUsage();
  busiest = Math.max(busiest, user + system - used);
  used = user + system;
};
setInterval(turn, 10).unref();

process.on('exit', () => {
  turn();
  const signs = {
    unheard,
    peakMegabytes: Math.round(process.resourceUsage().maxRSS / 1024),
    longestDelayMs: Math.round(delay.max / 1e6),
    busiestTurnMs: Math.round(busiest / 1e3),
  };
  process.stderr.write(`vital signs ${JSON.stringify(signs)}\n`);
});
