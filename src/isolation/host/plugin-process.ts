import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { availableParallelism } from 'node:os';
import type { Readable } from 'node:stream';
import { BusyPoll } from '../channel/busy-poll.ts';
import { Channel, type ChannelOptions } from '../channel/channel.ts';
import { RubbishError } from '../channel/frames.ts';
import { giveWay } from './priority.ts';
import { type SandboxOptions, sandboxCommand, type Walls } from './sandbox.ts';

/** When a process is taken for one that will not come back. */
export interface ProcessLimits {
  /** The event loop may stand still for so long. */
  readonly stallMs: number;
  /** The same until the plugin has started: modules are imported without a pause. */
  readonly startMs: number;
  readonly memoryBytes: number;
}

export interface PluginProcessOptions {
  readonly sandbox: SandboxOptions;
  readonly cwd: string;
  readonly walls: Walls;
  readonly limits: ProcessLimits;
  readonly serve: ChannelOptions['serve'];
  readonly hear: ChannelOptions['hear'];
  /** What the plugin writes to its standard output and error. */
  readonly onOutput: (text: string) => void;
  /** Called, also more than once, when the event loop has stood still for so long that it will likely be killed. */
  readonly onStanding?: () => void;
  /** Called once. Returns the error that calls under way end with. */
  readonly onEnd: (reason: Error) => Error;
}

const CHECK_MS = 200;
/** A successor takes about so long to come up on a busy machine. */
const NOTICE_MS = 3000;
const PAGE_BYTES = 4096;
const CHANNEL_LIMITS = {
  messageBytes: 33_554_432,
  framesPerSecond: 50_000,
  callsAtOnce: 4096,
  loopShare: 0.25,
};
/** What is longer is cut: it is for people. */
const OUTPUT_BYTES = 8192;
const OUTPUT_PAUSE_MS = 20;

/** One plugin's process: started at once, watched, and killed when it misbehaves. */
export class PluginProcess {
  readonly channel: Channel;
  readonly #options: PluginProcessOptions;
  readonly #child: ChildProcess;
  readonly #watch: NodeJS.Timeout;
  readonly #pipe: Socket;
  #reason: Error | null = null;
  #isStarted = false;
  #pulse: { readonly sent: number } | null = null;

  constructor(options: PluginProcessOptions) {
    const { sandbox, walls, serve, hear } = options;
    const { file, args } = sandboxCommand(sandbox, walls);
    this.#options = options;
    // Nothing of the gateway's environment: it holds the provider keys.
    this.#child = spawn(file, args, {
      cwd: options.cwd,
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      detached: true,
    });
    giveWay(this.#child.pid);
    this.#child.on('error', (error) => this.kill(error));
    this.#child.on('exit', (code, signal) => this.kill(new Error(describeExit(code, signal))));
    for (const output of [this.#child.stdout, this.#child.stderr]) this.#pass(output);
    const duplex = this.#child.stdio[3] as Socket;
    this.#pipe = duplex;
    this.channel = new Channel(duplex, {
      side: 0,
      limits: CHANNEL_LIMITS,
      serve,
      hear,
      onLost: (reason) => this.#onLost(reason),
      // On a single core the plugin would wait for the one who polls for its answer.
      answers: availableParallelism() > 1 ? new BusyPoll() : undefined,
    });
    this.#watch = setInterval(() => this.#check(), CHECK_MS);
    this.#watch.unref();
    this.#child.unref();
    // No process stays alive for its plugins' processes alone, unless it waits for them.
    for (const pipe of [duplex, this.#child.stdout, this.#child.stderr]) (pipe as Socket | null)?.unref();
  }

  /** Calls outside of requests, whose own connections keep the gateway alive: it must not end while it waits. */
  async attend(method: string, params: unknown): Promise<unknown> {
    this.#pipe.ref();
    try {
      return await this.channel.call(method, params);
    } finally {
      this.#pipe.unref();
    }
  }

  /** The plugin has started: from now on a pause is a stall. */
  settle(): void {
    this.#isStarted = true;
    this.#pulse = null;
  }

  /** For people: the process's id as the gateway sees it. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Ends the process at once. Nothing that it still says is heard. */
  kill(reason: Error): void {
    if (this.#reason !== null) return;
    this.#reason = reason;
    clearInterval(this.#watch);
    this.#killGroup();
    this.channel.break(this.#options.onEnd(reason));
  }

  /** A closed channel may be the first that is heard of an exit, whose code says more. */
  #onLost(reason: Error): void {
    if (reason instanceof RubbishError) this.kill(new Error(`it was killed: ${reason.message}`));
    else setTimeout(() => this.kill(reason), CHECK_MS);
  }

  /** Its own group, with all that it may have started. */
  #killGroup(): void {
    const { pid } = this.#child;
    if (pid === undefined || this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      this.#child.kill('SIGKILL');
    }
  }

  #check(): void {
    const { memoryBytes } = this.#options.limits;
    const stallMs = this.#isStarted ? this.#options.limits.stallMs : this.#options.limits.startMs;
    const resident = this.#residentBytes();
    const standingMs = this.#pulse === null ? 0 : performance.now() - this.#pulse.sent;
    if (resident > memoryBytes) {
      this.kill(
        new Error(
          `it was killed: it has ${toMiB(resident)} MiB of memory, expected at most ${toMiB(memoryBytes)}`,
        ),
      );
    } else if (standingMs > stallMs) {
      this.kill(new Error(`it was killed: its event loop stood still for more than ${stallMs} ms`));
    } else if (this.#isStarted && standingMs > stallMs - Math.min(NOTICE_MS, stallMs / 2)) {
      this.#options.onStanding?.();
    } else if (this.#pulse === null) {
      this.#pulse = { sent: performance.now() };
      this.channel.call('ping', null).then(
        () => {
          this.#pulse = null;
        },
        () => undefined,
      );
    }
  }

  #residentBytes(): number {
    const { pid } = this.#child;
    if (pid === undefined || process.platform !== 'linux') return 0;
    return [pid, ...childrenOf(pid)].reduce((sum, each) => sum + residentBytes(each), 0);
  }

  /** Who writes too much has to wait: a pipe that nobody reads holds its writer up. */
  #pass(output: Readable | null): void {
    output?.on('error', () => undefined);
    output?.on('data', (chunk: Buffer) => {
      this.#options.onOutput(describeOutput(chunk));
      output.pause();
      setTimeout(() => output.resume(), OUTPUT_PAUSE_MS).unref();
    });
  }
}

function describeExit(code: number | null, signal: string | null): string {
  return signal === null ? `it exited with code ${code}` : `it was ended by ${signal}`;
}

function describeOutput(chunk: Buffer): string {
  const text = chunk.toString('utf8', 0, OUTPUT_BYTES).trimEnd();
  const left = chunk.length - OUTPUT_BYTES;
  return left > 0 ? `${text} (and ${left} bytes more, which were left out)` : text;
}

/** `unshare` waits outside of the namespace: the plugin is its child. */
function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
      .trim()
      .split(' ')
      .filter(Boolean)
      .map(Number);
  } catch {
    return [];
  }
}

function residentBytes(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]) * PAGE_BYTES;
  } catch {
    return 0;
  }
}

function toMiB(bytes: number): number {
  return Math.round(bytes / 1_048_576);
}
