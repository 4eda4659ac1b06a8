import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { CHAT_PATH } from '../workloads.ts';
import { CORES } from './processes.ts';

/** What a closed loop of requests saw. Times in microseconds. */
export interface LoopResult {
  readonly requests: number;
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  /** Connections, reads, writes and statuses that failed, and time-outs. */
  readonly errors: number;
}

export interface LoopTarget {
  readonly port: number;
  /** Default: that of chat completions. */
  readonly path?: string;
  readonly headers: Readonly<Record<string, string>>;
}

const SCRIPT = `
wrk.method = "POST"
local file = assert(io.open(os.getenv("BENCH_BODY"), "rb"))
wrk.body = file:read("*a")
file:close()
function done(summary, latency)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
`;

/** wrk (Debian: `wrk`): as many connections as asked for, each of which sends its next request when it has the answer. */
export class Wrk {
  readonly #dir: string;
  readonly #script: string;

  /** @param dir where bodies and the script are kept while wrk reads them */
  constructor(dir: string) {
    this.#dir = dir;
    this.#script = join(dir, 'post.lua');
    writeFileSync(this.#script, SCRIPT);
  }

  async loop(target: LoopTarget, body: Buffer, connections: number, seconds: number): Promise<LoopResult> {
    const bodyFile = join(this.#dir, 'body.json');
    writeFileSync(bodyFile, body);
    const headers = Object.entries({ 'Content-Type': 'application/json', ...target.headers });
    const args = [
      ...['-c', CORES.load, 'wrk', '-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '10s'],
      ...['-s', this.#script],
      ...headers.flatMap(([name, value]) => ['-H', `${name}: ${value}`]),
      `http://127.0.0.1:${target.port}${target.path ?? CHAT_PATH}`,
    ];
    const child = spawn('taskset', args, {
      env: { ...process.env, BENCH_BODY: bodyFile },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [output] = await Promise.all([text(child.stdout), once(child, 'exit')]);
    return parse(output);
  }
}

function parse(output: string): LoopResult {
  const found = /^RESULT (\d+) (\d+) (\d+) (\d+) (\d+)$/m.exec(output);
  if (found === null) throw new Error(`wrk: expected a line that begins with RESULT, saw:\n${output}`);
  const [requests = 0, micros = 1, p50 = 0, p99 = 0, errors = 0] = found.slice(1).map(Number);
  return { requests, perSecond: requests / (micros / 1e6), p50, p99, errors };
}
