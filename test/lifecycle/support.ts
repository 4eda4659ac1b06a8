import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import winston from 'winston';
import { Breaker } from '../../src/containment/breaker.ts';
import { Containment } from '../../src/containment/containment.ts';
import type { Phase, PhaseCounters } from '../../src/containment/owner.ts';
import { resolveMetadata } from '../../src/discovery/metadata.ts';
import { RouteConflictError } from '../../src/errors.ts';
import type { PluginAbortError } from '../../src/lifecycle/abort.ts';
import { effectiveFailureMode } from '../../src/lifecycle/failure-mode.ts';
import { QuarantineBoard } from '../../src/lifecycle/quarantine-board.ts';
import { QuarantineStore } from '../../src/lifecycle/quarantine-store.ts';
import { createRecord as newRecord, type PluginRecord } from '../../src/lifecycle/record.ts';
import { PluginRegistry } from '../../src/lifecycle/registry.ts';
import { Starter } from '../../src/lifecycle/start.ts';
import { stopAll } from '../../src/lifecycle/stop.ts';
import { Supervisor } from '../../src/lifecycle/supervisor.ts';
import { createPipelineCompiler } from '../../src/pipeline/compile.ts';
import { ExportQueue } from '../../src/pipeline/exporters.ts';
import { toMembers } from '../../src/pipeline/members.ts';
import type { Pipeline } from '../../src/pipeline/types.ts';
import type { PluginContext } from '../../src/plugin-api/context.ts';
import type { FailureMode } from '../../src/plugin-api/failure-mode.ts';
import type { Plugin } from '../../src/plugin-api/plugin.ts';
import type { Storage } from '../../src/plugin-api/storage.ts';
import { createNameTable } from '../../src/registrar/name-table.ts';
import { createRegistrar } from '../../src/registrar/registrar.ts';
import { toStorage } from '../../src/storage/backend-storage.ts';
import { namespaced } from '../../src/storage/namespaced.ts';
import { openSqliteStore } from '../../src/storage/sqlite-store.ts';

export type LogLine = Readonly<Record<string, unknown>>;

/** A logger that writes nowhere and remembers everything. */
export function recordingLog(): { readonly log: winston.Logger; readonly lines: LogLine[] } {
  const lines: LogLine[] = [];
  const format = winston.format((info) => {
    lines.push(Object.fromEntries(Object.entries(info)));
    return false;
  })();
  const log = winston.createLogger({
    level: 'silly',
    format,
    transports: [new winston.transports.Console()],
  });
  return { log, lines };
}

/** A record of a plugin that discovery has just found. */
export function createRecord(
  plugin: Plugin,
  options: {
    readonly globalMode?: FailureMode;
    readonly policy?: ConstructorParameters<typeof Breaker>[0];
    readonly callTimeoutMs?: number;
    readonly onFailure?: Supervisor['onFailure'];
  } = {},
): PluginRecord {
  const className = plugin.metadata?.name ?? plugin.constructor.name;
  const metadata = resolveMetadata(plugin, { specifier: `plugins/${className}`, className, manifest: null });
  const counters = new Map<Phase, PhaseCounters>();
  const record: PluginRecord = newRecord({
    name: metadata.name,
    candidate: {
      specifier: `plugins/${metadata.name}`,
      names: [`plugins/${metadata.name}`],
      source: 'folder',
      root: null,
      entry: null,
      exportName: null,
      isFile: false,
      manifest: null,
      problem: null,
    },
    metadata,
    plugin,
    kept: null,
    failureMode: effectiveFailureMode(metadata.failureMode, options.globalMode ?? 'continue'),
    breaker: new Breaker(
      options.policy ?? { failureThreshold: 3, failureWindowMs: 60_000, cooldownMs: 1_000 },
    ),
    owner: {
      name: metadata.name,
      root: null,
      callTimeoutMs: options.callTimeoutMs ?? 5_000,
      counters(phase) {
        const found = counters.get(phase) ?? { calls: 0, failures: 0, timeouts: 0, skipped: 0, seconds: 0 };
        counters.set(phase, found);
        return found;
      },
      fail: (failure) => options.onFailure?.(record, failure),
    },
  });
  return record;
}

/** Everything that decides about plugins at run time, wired as the gateway wires it, with a clock to turn. */
export interface Host {
  readonly registry: PluginRegistry;
  readonly starter: Starter;
  readonly supervisor: Supervisor;
  readonly containment: Containment;
  readonly quarantines: QuarantineStore;
  readonly lines: LogLine[];
  readonly aborts: PluginAbortError[];
  /** Epoch milliseconds; turn it at will. */
  readonly clock: { time: number };
  /** Paths that plugins own, by path. */
  readonly routes: Map<string, string>;
  readonly pipeline: () => Pipeline;
  record(name: string): PluginRecord;
  /** Starts in the order that they were given. */
  startAll(): Promise<void>;
  stop(): Promise<void>;
}

export interface HostOptions {
  readonly mode?: FailureMode;
  readonly startupTimeoutMs?: number;
  readonly shutdownTimeoutMs?: number;
  readonly callTimeoutMs?: number;
  /** Where sticky quarantines are kept. Default: a store of this host's own. */
  readonly storage?: Storage;
  readonly stopping?: AbortSignal;
  readonly createContext?: (record: PluginRecord, signal: AbortSignal) => PluginContext;
}

/** A host in which `plugins` have been loaded. Failures trip at the third within a minute; the cool-down is 1 s. */
export function createHost(t: TestContext, plugins: readonly Plugin[], options: HostOptions = {}): Host {
  const { log, lines } = recordingLog();
  const clock = { time: 1_000_000 };
  const containment = new Containment();
  const registry = new PluginRegistry(log);
  const embedded = openStore(t);
  const quarantines = new QuarantineStore({
    storage: options.storage ?? namespaced(embedded, 'quarantine'),
    board: new QuarantineBoard({ storage: () => null, keepsStore: () => false }),
    log,
  });
  const routes = new Map<string, string>();
  const names = createNameTable();
  const aborts: PluginAbortError[] = [];
  const release = (plugin: string): void => {
    for (const [path, owner] of routes) if (owner === plugin) routes.delete(path);
    names.release(plugin);
  };
  const starter = new Starter({
    registry,
    containment,
    startupTimeoutMs: options.startupTimeoutMs ?? 5_000,
    release,
    stopping: options.stopping ?? new AbortController().signal,
    createContext:
      options.createContext ??
      ((record, signal) =>
        ({ signal, logger: log.child({ plugin: record.name }) }) as unknown as PluginContext),
    createRegistrar: (record, bag) =>
      createRegistrar({
        plugin: record.name,
        declared: record.metadata?.capabilities ?? null,
        allowed: null,
        bag,
        names,
        claimRoutes: (_method, paths) => {
          for (const path of paths) claim(routes, record.name, path);
        },
      }),
  });
  const supervisor = new Supervisor({
    registry,
    starter,
    store: quarantines,
    cooldownMs: 1_000,
    log,
    now: () => clock.time,
    onAbort: (error) => void aborts.push(error),
    release,
    load: () => Promise.reject(new Error('nothing is loaded here')),
    rollBack: () => Promise.reject(new Error('there is no version before this one')),
  });
  const exports = new ExportQueue(containment);
  const compile = createPipelineCompiler({ containment, exports, embedded, adaptBackend: toStorage });
  let pipeline = compile([]);
  registry.onTransition(() => {
    pipeline = compile(toMembers(registry.inOrder(), (record) => supervisor.gate(record)));
  });
  for (const plugin of plugins) {
    const record = createRecord(plugin, {
      ...(options.mode !== undefined && { globalMode: options.mode }),
      ...(options.callTimeoutMs !== undefined && { callTimeoutMs: options.callTimeoutMs }),
      onFailure: (failed, failure) => supervisor.onFailure(failed, failure),
    });
    registry.add(record);
    registry.transition(record, 'load', null);
  }
  registry.setOrder(registry.records.map(({ name }) => name));
  const record = (name: string): PluginRecord => {
    const found = registry.get(name);
    if (found === undefined) throw new Error(`no plugin ${name}`);
    return found;
  };
  return {
    registry,
    starter,
    supervisor,
    containment,
    quarantines,
    lines,
    aborts,
    clock,
    routes,
    pipeline: () => pipeline,
    record,
    startAll: () => starter.startAll(),
    stop: () =>
      stopAll({ registry, containment, shutdownTimeoutMs: options.shutdownTimeoutMs ?? 5_000, log }),
  };
}

function claim(routes: Map<string, string>, plugin: string, path: string): void {
  const owner = routes.get(path);
  if (owner !== undefined && owner !== plugin) {
    throw new RouteConflictError(`Plugin "${plugin}": ${path} belongs to the plugin "${owner}"`, { plugin });
  }
  routes.set(path, plugin);
}

/** A real store in a temporary folder. */
export function openStore(t: TestContext): Storage {
  const dir = mkdtempSync(join(tmpdir(), 'routeiq-lifecycle-'));
  const store = openSqliteStore({ dir, clock: Date });
  t.after(() => {
    store.close();
    rmSync(dir, { recursive: true });
  });
  return store;
}

/** `from -> to (cause)` of each transition that was logged of a plugin. */
export function transitions(lines: readonly LogLine[], plugin: string): string[] {
  return lines
    .filter((line) => line.event === 'plugin_transition' && line.plugin === plugin)
    .map(
      ({ from, to, cause }) =>
        `${String(from)} -> ${String(to)}${cause === undefined ? '' : ` (${String(cause)})`}`,
    );
}
