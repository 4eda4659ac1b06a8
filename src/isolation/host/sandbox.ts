import { spawnSync } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NICENESS } from './priority.ts';

/** What a plugin's process may touch besides its channel. */
export interface Grants {
  /** True: the network is open to it. */
  readonly net: boolean;
  /** Absolute paths. */
  readonly read: readonly string[];
  readonly write: readonly string[];
}

/** What a plugin's process is made from. */
export interface SandboxOptions {
  /** Real path of the plugin's folder, or of its only file. */
  readonly code: string;
  /** Where its packages are found from, by going up. */
  readonly modulesOf: string;
  readonly grants: Grants;
  /** Memory that the process may have resident, in bytes. */
  readonly memoryBytes: number;
}

/** A command line. */
export interface Command {
  readonly file: string;
  readonly args: readonly string[];
}

/** Which walls of the operating system there are, besides those of Node. */
export interface Walls {
  /** A pid and a mount namespace of its own (and one for the network, unless it is granted). */
  readonly namespaces: boolean;
  /** The kernel ends the process with the gateway, bounds its memory, and lets the gateway go before it. */
  readonly limits: boolean;
  /** The gateway may raise priorities, and can see to it that the process may not. */
  readonly keepsPriority: boolean;
}

const NICE = ['-n', String(NICENESS)];
/** Without the right to raise its priority again, which root would have. */
const KEEP_PRIORITY = ['--bounding-set', '-sys_nice', '--inh-caps', '-sys_nice'];
const MIB = 1_048_576;
/** What V8's heap may take of the process's memory. */
const HEAP_SHARE = 0.6;
/** Code and libraries are anonymous memory too, and are not the plugin's. */
const DATA_OVERHEAD_BYTES = 512 * MIB;

const ISOLATION = join(import.meta.dirname, '..');
/** The gateway's own code: `src` or `dist`. */
const RUNTIME = join(ISOLATION, '..');
const ENTRY = join(ISOLATION, 'child', `main.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`);

/** Finds out once, by trying, what this machine lets a gateway do. */
export function probeWalls(): Walls {
  if (process.platform !== 'linux') return { namespaces: false, limits: false, keepsPriority: false };
  const limits = works('nice', [...NICE, 'setpriv', '--pdeathsig', 'KILL', 'prlimit', '--core=0', 'true']);
  return {
    limits,
    namespaces: limits && works('unshare', [...unshare(false), 'true']),
    keepsPriority: limits && works('setpriv', [...KEEP_PRIORITY, 'true']),
  };
}

/** The command that runs a plugin's process. */
export function sandboxCommand(options: SandboxOptions, walls: Walls): Command {
  const node = [process.execPath, ...nodeFlags(options), ENTRY];
  const inside = walls.namespaces ? ['unshare', ...unshare(options.grants.net), ...node] : node;
  const data = 2 * options.memoryBytes + DATA_OVERHEAD_BYTES;
  const setpriv = ['setpriv', '--pdeathsig', 'KILL', ...(walls.keepsPriority ? KEEP_PRIORITY : [])];
  const limited = ['nice', ...NICE, ...setpriv, 'prlimit', '--core=0', `--data=${data}`, ...inside];
  const [file = process.execPath, ...args] = walls.limits ? limited : inside;
  return { file, args };
}

function unshare(net: boolean): string[] {
  return [...(net ? [] : ['--net']), '--pid', '--fork', '--kill-child', '--mount-proc'];
}

/** Node's own seat belt: nothing but reading the plugin's code and what it is made of. */
function nodeFlags({ code, modulesOf, grants, memoryBytes }: SandboxOptions): string[] {
  const reads = [
    code,
    ...runtimeFiles(),
    ...modulesAbove(code),
    ...modulesAbove(modulesOf),
    ...grants.read,
    ...grants.write,
  ];
  return [
    '--permission',
    ...[...new Set(reads)].map((path) => `--allow-fs-read=${path}`),
    ...grants.write.map((path) => `--allow-fs-write=${path}`),
    ...(grants.net ? ['--allow-net'] : []),
    `--max-old-space-size=${Math.floor((memoryBytes * HEAP_SHARE) / MIB)}`,
    '--no-addons',
    '--disable-sigusr1',
    '--disable-warning=SecurityWarning',
    ...conditions(),
  ];
}

/** The conditions that this gateway was started with: the child has to find the same code. */
function conditions(): string[] {
  return process.execArgv.filter((flag) => flag.startsWith('--conditions=') || flag.startsWith('-C='));
}

function runtimeFiles(): string[] {
  const home = dirname(RUNTIME);
  const own = [RUNTIME, join(home, 'package.json'), ...modulesAbove(RUNTIME)];
  // Installed as a dependency, the gateway's own dependencies lie around it.
  const express = dirname(dirname(fileURLToPath(import.meta.resolve('express'))));
  return [...own, ...modulesAbove(express)].flatMap(withRealPath);
}

/** Every `node_modules` in which Node looks for the dependencies of what lies at `path`. */
function modulesAbove(path: string): string[] {
  const found: string[] = [];
  for (let folder = path; ; folder = dirname(folder)) {
    const modules = join(folder, 'node_modules');
    if (existsSync(modules)) found.push(...withRealPath(modules));
    if (dirname(folder) === folder) return found;
  }
}

function withRealPath(path: string): string[] {
  return existsSync(path) ? [path, realpathSync(path)] : [];
}

function works(file: string, args: readonly string[]): boolean {
  return spawnSync(file, args, { stdio: 'ignore', timeout: 5000 }).status === 0;
}
