import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** The system under test has a core to itself where there are two; upstream and load share the other one. */
export const CORES: { readonly system: string; readonly load: string } =
  cpus().length > 1 ? { system: '0', load: '1' } : { system: '0', load: '0' };

/** How to start a system. */
export interface Command {
  /** Node's own. */
  readonly flags?: readonly string[];
  /** Arguments after the program, which is this Node, unless `program` names another. */
  readonly args: readonly string[];
  readonly program?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd: string;
}

/** What a process and its children used. */
export interface Usage {
  /** Seconds of processor time, since their start. */
  readonly cpuSeconds: number;
  /** Resident bytes. */
  readonly rss: number;
}

/** The processes of one run. They are ended with it. */
export class Processes {
  readonly #live = new Set<ChildProcess>();
  readonly #logDir: string;

  constructor(logDir: string) {
    this.#logDir = logDir;
  }

  /** Starts a process on one core and waits until its port answers. */
  async start(label: string, core: string, port: number, command: Command): Promise<ChildProcess> {
    const logFile = join(this.#logDir, `${label}.log`);
    const log = openSync(logFile, 'a');
    const child = spawn(
      'taskset',
      ['-c', core, command.program ?? process.execPath, ...(command.flags ?? []), ...command.args],
      {
        cwd: command.cwd,
        env: { ...process.env, NODE_ENV: 'production', ...command.env },
        stdio: ['ignore', log, log],
      },
    );
    closeSync(log);
    this.#live.add(child);
    child.once('exit', () => this.#live.delete(child));
    if (await isUp(port, child)) return child;
    throw new Error(
      `${label} did not come up on port ${port}:\n${readFileSync(logFile, 'utf8').slice(-2000)}`,
    );
  }

  async stop(child: ChildProcess): Promise<void> {
    if (!this.#live.has(child)) return;
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    const isLate = await Promise.race([exited.then(() => false), sleep(5000, true)]);
    if (isLate) child.kill('SIGKILL');
    await exited;
  }

  async stopAll(): Promise<void> {
    await Promise.all([...this.#live].map((child) => this.stop(child)));
  }
}

/** Reads `/proc` (Linux), for a process and all that it started. */
export function usageOf(pid: number): Usage {
  const children = new Map<number, number[]>();
  const usage = new Map<number, Usage>();
  for (const entry of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const stat = statOf(Number(entry));
    if (stat === null) continue;
    usage.set(Number(entry), stat);
    children.set(stat.parent, [...(children.get(stat.parent) ?? []), Number(entry)]);
  }
  const family = [pid];
  for (const member of family) family.push(...(children.get(member) ?? []));
  return family.reduce(
    (sum, member) => {
      const { cpuSeconds, rss } = usage.get(member) ?? { cpuSeconds: 0, rss: 0 };
      return { cpuSeconds: sum.cpuSeconds + cpuSeconds, rss: sum.rss + rss };
    },
    { cpuSeconds: 0, rss: 0 },
  );
}

const TICKS_PER_SECOND = 100;
const PAGE = 4096;

/** proc_pid_stat(5). `null`: it has ended meanwhile. */
function statOf(pid: number): (Usage & { readonly parent: number }) | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field, the name, may hold blanks and brackets.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const [parent = 0, user = 0, system = 0, pages = 0] = [1, 11, 12, 21].map((at) => Number(fields[at]));
    return { parent, cpuSeconds: (user + system) / TICKS_PER_SECOND, rss: pages * PAGE };
  } catch {
    return null;
  }
}

async function isUp(port: number, child: ChildProcess): Promise<boolean> {
  for (let tries = 0; tries < 300 && child.exitCode === null; tries++) {
    if (await answers(port)) return true;
    await sleep(50);
  }
  return false;
}

function answers(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(port, '127.0.0.1', () => {
    socket.destroy();
    resolve(true);
  });
  socket.on('error', () => resolve(false));
  return promise;
}
