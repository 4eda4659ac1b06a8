import cluster, { type Worker } from 'node:cluster';
import type { Logger } from 'winston';
import type { GatewayConfig } from '../config/types.ts';
import { createLogger } from '../telemetry/logger.ts';
import { EXIT } from './exit-code.ts';
import { serve } from './serve.ts';

/** First and longest wait before a worker that died is replaced. */
const RESTART_MS = { first: 100, longest: 10_000 };

/**
 * `LLMROUTER_WORKERS`: several processes that share the port, and one that watches them. A worker that dies is
 * replaced; one that ends with a verdict about configuration or a plugin ends them all with the same exit code.
 */
export function supervise(config: GatewayConfig, process: NodeJS.Process): Promise<number> {
  if (cluster.isWorker) return serve(config, process);
  const log = createLogger({ ...config.log, debug: config.debug });
  return new WorkerSupervisor(config.server.workers, log, process).run();
}

class WorkerSupervisor {
  readonly #count: number;
  readonly #log: Logger;
  readonly #process: NodeJS.Process;
  readonly #ended = Promise.withResolvers<number>();
  #restartMs = RESTART_MS.first;
  #verdict: number | null = null;

  constructor(count: number, log: Logger, process: NodeJS.Process) {
    this.#count = count;
    this.#log = log;
    this.#process = process;
  }

  run(): Promise<number> {
    cluster.on('exit', (worker, code, signal) => this.#onExit(worker, code, signal));
    cluster.on('listening', () => {
      this.#restartMs = RESTART_MS.first;
    });
    for (const signal of ['SIGTERM', 'SIGINT'] as const)
      this.#process.on(signal, () => this.#stopAll(EXIT.OK));
    for (let i = 0; i < this.#count; i++) cluster.fork();
    return this.#ended.promise;
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
