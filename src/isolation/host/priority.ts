import { writeFileSync } from 'node:fs';

/**
 * How far plugins' processes stand back when the processor is wanted (sched(7)). Measured: 0 lets an endless loop more
 * than double the time of other requests on two cores, 10 is felt in the plugin's own calls.
 */
export const NICENESS = 5;

/**
 * Lets the session of a plugin's process stand back too. Where the kernel shares the processor out by sessions
 * (sched(7), "The autogroup feature"), niceness counts only within one, and each plugin has its own.
 */
export function giveWay(pid: number | undefined): void {
  if (pid === undefined || process.platform !== 'linux') return;
  try {
    writeFileSync(`/proc/${pid}/autogroup`, String(NICENESS));
  } catch {
    // A kernel without sessions to share out by, or a process that has ended.
  }
}
