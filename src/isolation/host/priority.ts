import { writeFileSync } from 'node:fs';

/**
 * How far plugins' processes stand back when the processor is wanted (sched(7)). At 0 or 5 an endless loop can double
 * the time of other requests on two cores. The plugin's own calls do not feel it: who calls waits for them.
 */
export const NICENESS = 10;

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
