import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const ENTRY = join(import.meta.dirname, '../../src/index.ts');

/** One line of the gateway's JSON log. */
export type LogLine = Readonly<Record<string, unknown>>;

/** A real gateway process. */
export interface GatewayProcess {
  readonly url: string;
  readonly pid: number;
  readonly dir: string;
  readonly log: readonly LogLine[];
  /** Standard output as it came, by line. */
  readonly lines: readonly string[];
  readonly stderr: () => string;
  /** Resolves to the first line, past or future, for which `test` holds. Rejects when the process ends before. */
  logged(test: (line: LogLine) => boolean): Promise<LogLine>;
  /** Resolves to the exit code. */
  readonly exited: Promise<number | null>;
  /** Sends SIGTERM and resolves to the exit code. */
  stop(): Promise<number | null>;
  kill(signal: NodeJS.Signals): void;
}

export interface GatewayProcessOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Files below the working directory, by path. */
  readonly files?: Readonly<Record<string, string>>;
  /** Working directory to use instead of a new temporary one. */
  readonly dir?: string;
  readonly args?: readonly string[];
}

/** Where to put what has to be undone: a test's context, or whatever outlives several tests. */
export interface Cleanup {
  after(undo: () => unknown): void;
}

/** Writes files below a new temporary folder, which is removed after the test. */
export function tempDir(t: Cleanup, files: Readonly<Record<string, string>> = {}): string {
  const dir = mkdtempSync(join(tmpdir(), 'routeiq-test-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  writeFiles(dir, files);
  return dir;
}

export function writeFiles(dir: string, files: Readonly<Record<string, string>>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    writeFileSync(join(dir, path), text);
  }
}

/** Starts a gateway on a free port and waits until it is ready. It is ended after the test. */
export async function startGateway(t: Cleanup, options: GatewayProcessOptions = {}): Promise<GatewayProcess> {
  const gateway = spawnGateway(t, options);
  const line = await gateway.logged(({ event }) => event === 'ready');
  return Object.assign(gateway, { url: `http://127.0.0.1:${String(line.port)}` });
}

/** Starts a gateway without waiting; `url` is empty. */
export function spawnGateway(t: Cleanup, options: GatewayProcessOptions = {}): GatewayProcess {
  const dir = options.dir ?? tempDir(t);
  writeFiles(dir, options.files ?? {});
  const child = spawn(process.execPath, ['--conditions=routeiq-source', ENTRY, ...(options.args ?? [])], {
    cwd: dir,
    env: { PATH: process.env.PATH, HOME: dir, PORT: '0', ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.after(() => child.kill('SIGKILL'));
  return observe(child, dir);
}

function observe(child: ChildProcess, dir: string): GatewayProcess {
  const log: LogLine[] = [];
  const lines: string[] = [];
  const waiting = new Set<(line: LogLine) => void>();
  let stderr = '';
  child.stderr?.on('data', (chunk) => {
    stderr += chunk;
  });
  readLines(child, (text) => {
    lines.push(text);
    const line = parseLine(text);
    log.push(line);
    for (const resolve of waiting) resolve(line);
  });
  const exited = once(child, 'close').then(([code]) => code as number | null);
  return {
    url: '',
    pid: child.pid ?? -1,
    dir,
    log,
    lines,
    stderr: () => stderr,
    exited,
    logged(test) {
      const found = log.find(test);
      if (found !== undefined) return Promise.resolve(found);
      return new Promise((resolve, reject) => {
        waiting.add((line) => test(line) && resolve(line));
        exited.then((code) =>
          reject(new Error(`the gateway ended with ${code}: ${stderr}\n${JSON.stringify(log.slice(-5))}`)),
        );
      });
    },
    stop() {
      child.kill('SIGTERM');
      return exited;
    },
    kill: (signal) => void child.kill(signal),
  };
}

function readLines(child: ChildProcess, onLine: (line: string) => void): void {
  let rest = '';
  child.stdout?.on('data', (chunk) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(line);
  });
}

/** What is no JSON is `text`: help texts, and what plugins print. */
function parseLine(text: string): LogLine {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as LogLine) : { text };
  } catch {
    return { text };
  }
}
