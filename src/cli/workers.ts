import cluster, { type Worker } from 'node:cluster';
import type { Logger } from 'winston';
import { parseOperatorAction } from '../composition/operator-action.ts';
import type { GatewayConfig } from '../config/types.ts';
import type { BootTimer } from '../telemetry/boot-timer.ts';
import { createLogger } from '../telemetry/logger.ts';
import { EXIT } from './exit-code.ts';
import { serve, type WorkerLink } from './serve.ts';

/** First and longest wait before a worker that died is replaced. */
const RESTART_MS = { first: 100, longest: 10_000 };

/** What a worker sends to the supervisor. */
const READY = 'ready';

/**
 * `LLMROUTER_WORKERS`: several processes that share the port, and one that watches them. A worker that dies is
 * replaced; one that ends with a verdict about configuration or a plugin ends them all with the same exit code.
 */
export function supervise(config: GatewayConfig, process: NodeJS.Process, timer: BootTimer): Promise<number> {
  if (cluster.isWorker) return serve(config, process, timer, linkTo(process));
  const log = createLogger({ ...config.log, debug: config.debug });
  return new WorkerSupervisor(config.server.workers, log, process).run();
}

/** The worker's end of the channel to the supervisor, which passes actions on. */
function linkTo(process: NodeJS.Process): WorkerLink {
  return {
    ready: () => void process.send?.(READY),
    share: (action) => void process.send?.(action),
    onShared(follow) {
      process.on('message', (message) => {
        const action = parseOperatorAction(message);
        if (action !== null) follow(action);
      });
    },
  };
}

class WorkerSupervisor {
  readonly #count: number;
  readonly #log: Logger;
  readonly #process: NodeJS.Process;
  readonly #ended = Promise.withResolvers<number>();
  #restartMs = RESTART_MS.first;
  #hasServed = false;
  #verdict: number | null = null;

  constructor(count: number, log: Logger, process: NodeJS.Process) {
    this.#count = count;
    this.#log = log;
    this.#process = process;
  }

  run(): Promise<number> {
    cluster.on('exit', (worker, code, signal) => this.#onExit(worker, code, signal));
    cluster.on('message', (worker, message) => this.#onMessage(worker, message));
    for (const signal of ['SIGTERM', 'SIGINT'] as const)
      this.#process.on(signal, () => this.#stopAll(EXIT.OK));
    cluster.fork();
    return this.#ended.promise;
  }

  #onMessage(from: Worker, message: unknown): void {
    if (message === READY) this.#onReady();
    const action = parseOperatorAction(message);
    if (action === null) return;
    for (const worker of this.#alive()) if (worker !== from) worker.send(action);
  }

  /** The first worker goes ahead: what keeps it from starting would keep all, and should be told once. */
  #onReady(): void {
    this.#restartMs = RESTART_MS.first;
    if (this.#hasServed || this.#verdict !== null) return;
    this.#hasServed = true;
    for (let i = 1; i < this.#count; i++) cluster.fork();
  }

  #onExit(worker: Worker, code: number, signal: string | null): void {
    if (this.#verdict === null && (code === EXIT.CONFIG || code === EXIT.PLUGIN_ABORT)) this.#stopAll(code);
    if (this.#verdict !== null) {
      if (this.#alive().length === 0) this.#ended.resolve(this.#verdict);
      return;
    }
    this.#log.error('a worker died and is replaced', {
      event: 'worker_died',
      pid: worker.process.pid,
      code,
      signal,
    });
    setTimeout(() => this.#verdict === null && cluster.fork(), this.#restartMs);
    this.#restartMs = Math.min(this.#restartMs * 2, RESTART_MS.longest);
  }

  #stopAll(verdict: number): void {
    this.#verdict ??= verdict;
    const workers = this.#alive();
    for (const worker of workers) worker.process.kill('SIGTERM');
    if (workers.length === 0) this.#ended.resolve(this.#verdict);
  }

  #alive(): Worker[] {
    return Object.values(cluster.workers ?? {}).filter(
      (worker) => worker !== undefined && !worker.isDead(),
    ) as Worker[];
  }
}
