import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Certificate, WITHOUT_OPENSSL } from './certificates.ts';

/** The reason to skip, `false` when a server can be started. */
export const WITHOUT_REDIS: string | false =
  spawnSync('redis-server', ['--version']).status === 0
    ? false
    : 'redis-server is not installed (Debian: apt install redis-server)';

/** The reason to skip, `false` when a server can be started that speaks TLS. */
export const WITHOUT_REDIS_TLS: string | false =
  WITHOUT_REDIS || WITHOUT_OPENSSL || (speaksTls() ? false : 'redis-server was built without TLS');

/** A real Redis server of the test's own, on a free port, that writes nothing but below a temporary folder. */
export class RedisServer {
  readonly #port: number;
  readonly #dir: string;
  readonly #tls: Certificate | null;
  #process: ChildProcess | null = null;

  private constructor(port: number, dir: string, tls: Certificate | null) {
    this.#port = port;
    this.#dir = dir;
    this.#tls = tls;
  }

  /**
   * Starts one and waits until it answers.
   *
   * @param tls it speaks nothing else then
   */
  static async start(tls: Certificate | null = null): Promise<RedisServer> {
    const server = new RedisServer(await freePort(), mkdtempSync(join(tmpdir(), 'routeiq-redis-')), tls);
    await server.resume();
    return server;
  }

  get url(): string {
    return `${this.#tls === null ? 'redis' : 'rediss'}://127.0.0.1:${this.#port}`;
  }

  get pid(): number {
    return this.#process?.pid ?? -1;
  }

  /** Starts it again on its port, with what it had stored when it was stopped. */
  async resume(): Promise<void> {
    const args = [...this.#portArgs(), '--bind', '127.0.0.1', '--dir', this.#dir];
    const child = spawn('redis-server', [...args, '--appendonly', 'yes', '--save', ''], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#process = child;
    let output = '';
    for await (const chunk of child.stdout) {
      output += chunk;
      if (output.includes('Ready to accept connections')) break;
    }
    if (!output.includes('Ready to accept connections')) throw new Error(`redis-server: ${output}`);
  }

  #portArgs(): readonly string[] {
    const port = String(this.#port);
    if (this.#tls === null) return ['--port', port];
    const { cert, key } = this.#tls;
    const files = ['--tls-cert-file', cert, '--tls-key-file', key];
    return ['--port', '0', '--tls-port', port, ...files, '--tls-auth-clients', 'no'];
  }

  /** Stops it; what it has stored stays. */
  async pause(): Promise<void> {
    const child = this.#process;
    if (child === null || child.exitCode !== null) return;
    child.kill('SIGTERM');
    await once(child, 'exit');
  }

  /** Stops it and removes its files. */
  async stop(): Promise<void> {
    await this.pause();
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

/** An unknown directive behind one of TLS: the one that is complained about tells. */
function speaksTls(): boolean {
  const { stdout, stderr } = spawnSync('redis-server', ['--tls-port', '0', '--no-such-directive', 'x']);
  return `${stdout}${stderr}`.includes('no-such-directive');
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
