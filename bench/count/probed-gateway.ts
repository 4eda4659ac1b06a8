import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { LoopTarget } from '../load/wrk.ts';
import { SYSTEMS, type SystemName } from '../systems.ts';
import type { ProbeAnswer, ProbeRequest } from './probe.ts';

/** A real gateway process that can be asked what it allocates and calls. */
export class ProbedGateway implements LoopTarget {
  readonly port: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, port: number, headers: Readonly<Record<string, string>>) {
    this.#child = child;
    this.port = port;
    this.headers = headers;
  }

  /**
   * Starts one of the gateway's variants on a free port.
   *
   * @param upstreamPort of the mock upstream
   * @param tmp a folder for its files
   * @param flags of Node, besides those that the probe needs
   */
  static async start(
    system: SystemName,
    upstreamPort: number,
    tmp: string,
    flags: readonly string[],
  ): Promise<ProbedGateway> {
    const place = { port: 0, upstream: `http://127.0.0.1:${upstreamPort}`, tmp };
    const { args, cwd, env } = SYSTEMS[system].start(place);
    const child = fork(String(args[0]), args.slice(1), {
      cwd,
      env: { ...process.env, NODE_ENV: 'production', LLMROUTER_LOG_FORMAT: 'json', ...env, PORT: '0' },
      execArgv: ['--expose-gc', ...flags, `--import=${join(import.meta.dirname, 'probe.ts')}`],
      silent: true,
    });
    return new ProbedGateway(child, await readyPort(child), SYSTEMS[system].headers?.(place) ?? {});
  }

  /** Sends the probe a request and resolves to its answer. */
  async ask(request: ProbeRequest): Promise<ProbeAnswer> {
    const answered = once(this.#child, 'message') as Promise<[ProbeAnswer]>;
    this.#child.send(request);
    return (await answered)[0];
  }

  /** Ends the process. */
  async stop(): Promise<void> {
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    await exited;
  }
}

function readyPort(child: ChildProcess): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  let log = '';
  const onData = (bytes: Buffer): void => {
    log += bytes.toString();
    const line = /^\{.*"event":"ready".*\}$/m.exec(log);
    if (line === null) return;
    child.stdout?.off('data', onData).resume();
    resolve((JSON.parse(line[0]) as { port: number }).port);
  };
  child.stdout?.on('data', onData);
  child.stderr?.on('data', (bytes: Buffer) => {
    log += bytes.toString();
  });
  child.once('exit', () => reject(new Error(`the gateway ended before it was ready:\n${log}`)));
  return promise;
}
