import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { ConfigError } from '../errors.ts';
import { deepFreeze } from '../freeze.ts';
import { isSettingVariable, nearest, settingPrefix, toEnvName } from './env-name.ts';
import { type ConfigFile, readConfigFile } from './file.ts';
import { isRead, type LitellmConfig, readLitellm } from './litellm.ts';
import { readLock } from './lockfile.ts';
import { frozenMap, frozenSet, isRecord, own } from './plain.ts';
import { type Report, show, showHidden } from './problems.ts';
import { findReferences } from './references.ts';
import { DEFAULT_STRATEGY } from './routing-settings.ts';
import type { GatewayConfig, OutboundConfig, PluginsConfig, ServerConfig, SettingsSources } from './types.ts';
import type { Variable } from './variable.ts';
import { SETTING_VARIABLE, VARIABLES } from './variables.ts';

/** What the configuration is made of. */
export interface ConfigInput {
  /** The process environment, `.env` merged in. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Absolute path that relative paths start from. */
  readonly cwd: string;
  /** Whether the log goes to a terminal. */
  readonly isTTY: boolean;
  /** What `LLMROUTER_WORKERS=auto` stands for. Default: the cores that this process may use. */
  readonly cores?: number;
  /** `false` when the lock file is about to be written: it need not be there yet. Default: `true`. */
  readonly readsLock?: boolean;
}

type Read = <T>(variable: Variable<T>) => T;

/**
 * Parses the environment and the configuration file, once, into one deeply frozen value. Reads that file
 * and the lock file, and nothing else.
 *
 * @throws ConfigError `config_invalid`, with all problems; each names the variable or the place in the file, the value
 *   seen (never that of a secret) and the value expected
 *
 * @example
 * ```ts
 * const config = loadConfig({ env: process.env, cwd: process.cwd(), isTTY: process.stdout.isTTY });
 * ```
 */
export function loadConfig(input: ConfigInput): GatewayConfig {
  const report: Report = { problems: [], warnings: [] };
  const read = reader(input.env, report);
  const file = readConfigFile(read(VARIABLES.config), input.cwd, report);
  const config = {
    cwd: input.cwd,
    server: readServer(read, input.cores ?? availableParallelism()),
    tools: { maxRounds: read(VARIABLES.toolRounds), timeoutMs: read(VARIABLES.toolTimeoutMs) },
    admin: { key: read(VARIABLES.adminKey) },
    log: {
      level: read(VARIABLES.logLevel),
      format: read(VARIABLES.logFormat) ?? (input.isTTY ? 'pretty' : 'json'),
    },
    debug: read(VARIABLES.debug),
    dataDir: resolve(input.cwd, read(VARIABLES.dataDir)),
    outbound: readOutbound(read),
    ...readFileSections(file, read, input, report),
    warnings: report.warnings,
  } satisfies GatewayConfig;
  warnUnknownVariables(input.env, report);
  if (report.problems.length > 0) throw new ConfigError(report.problems);
  return deepFreeze(config);
}

function reader(env: ConfigInput['env'], report: Report): Read {
  return (variable) => {
    const text = own(env, variable.name)?.trim();
    if (text === undefined || (text === '' && !variable.blankCounts)) return variable.fallback;
    const parsed = variable.parse(text);
    if ('value' in parsed) return parsed.value;
    const seen = variable.secret ? 'a value that is not shown' : (parsed.seen ?? show(text));
    report.problems.push(`${variable.name}: got ${seen}, expected ${parsed.expected}`);
    return variable.fallback;
  };
}

function readServer(read: Read, cores: number): ServerConfig {
  const workers = read(VARIABLES.workers);
  return {
    host: read(VARIABLES.host),
    port: read(VARIABLES.port),
    bodyLimit: read(VARIABLES.bodyLimit),
    drainTimeoutMs: read(VARIABLES.drainTimeoutMs),
    workers: workers === 'auto' ? cores : workers,
  };
}

function readOutbound(read: Read): OutboundConfig {
  return {
    allowPrivate: read(VARIABLES.outboundAllowPrivate),
    hosts: read(VARIABLES.outboundHosts),
    cidrs: read(VARIABLES.outboundCidrs),
    urls: read(VARIABLES.outboundUrls),
  };
}

function readFileSections(
  file: ConfigFile | null,
  read: Read,
  input: ConfigInput,
  report: Report,
): LitellmConfig & { readonly plugins: PluginsConfig } {
  const sections = ['model_list', 'router_settings', 'litellm_settings', 'plugins'];
  const references =
    file === null
      ? { values: new Map<string, string>(), resolve: (text: string) => text }
      : findReferences(file, sections, input.env, report, isRead);
  const settings = {
    file: frozenMap(readSettings(file, report)),
    env: readSettingVariables(input.env),
    references: frozenMap(references.values),
  };
  const litellm = readLitellm(file, references, report);
  return { ...litellm, plugins: readPlugins(read, input, settings, litellm, report) };
}

function readPlugins(
  read: Read,
  { env, cwd, readsLock = true }: ConfigInput,
  settings: SettingsSources,
  litellm: LitellmConfig,
  report: Report,
): PluginsConfig {
  const named = read(VARIABLES.lockfile);
  return {
    specifiers: read(VARIABLES.specifiers),
    dirs: read(VARIABLES.dirs),
    allowlist: read(VARIABLES.allowlist),
    allowedCapabilities: read(VARIABLES.allowedCapabilities),
    failureMode: read(VARIABLES.failureMode),
    disabled: read(VARIABLES.disabled),
    startupTimeoutMs: read(VARIABLES.startupTimeoutMs),
    shutdownTimeoutMs: read(VARIABLES.shutdownTimeoutMs),
    callTimeoutMs: read(VARIABLES.callTimeoutMs),
    stallTimeoutMs: read(VARIABLES.stallTimeoutMs),
    failureThreshold: read(VARIABLES.failureThreshold),
    failureWindowMs: read(VARIABLES.failureWindowMs),
    cooldownMs: read(VARIABLES.cooldownMs),
    isolation: read(VARIABLES.isolation),
    permissions: read(VARIABLES.permissions),
    memoryLimitBytes: read(VARIABLES.memoryLimit) * 1_048_576,
    watch: read(VARIABLES.watch),
    probationMs: read(VARIABLES.probationMs),
    lockfile: named === null ? null : resolve(cwd, named),
    lock: named !== null && readsLock ? readLock(named, cwd, report) : null,
    settings,
    environment: frozenSet([...variablesSet(env), ...variablesOfFile(settings.file), ...namedIn(litellm)]),
  };
}

/** What plugins may wait for, as `activation.anyOf` writes it. Nobody waits for the gateway's own strategy. */
function namedIn({ deployments, routing }: LitellmConfig): string[] {
  const strategies = routing.strategy === DEFAULT_STRATEGY ? [] : [`strategy:${routing.strategy}`];
  return [...deployments.map(({ provider }) => `provider:${provider}`), ...strategies];
}

function variablesSet(env: ConfigInput['env']): string[] {
  return Object.keys(env).filter((name) => (env[name] ?? '').trim() !== '');
}

/** A setting in the file counts as its variable: a plugin is configured by either. */
function variablesOfFile(file: SettingsSources['file']): string[] {
  return [...file].flatMap(([plugin, values]) =>
    Object.keys(values).map((key) => `${settingPrefix(plugin)}${toEnvName(key)}`),
  );
}

function readSettings(file: ConfigFile | null, report: Report): SettingsSources['file'] {
  const settings = new Map<string, Readonly<Record<string, unknown>>>();
  const section = file === null ? null : (own(file.root, 'plugins') ?? null);
  if (file === null || section === null) return settings;
  if (!isRecord(section)) {
    report.problems.push(
      `${file.locate(['plugins'])}: plugins: got ${showHidden(section)}, expected a mapping of plugin names to settings`,
    );
    return settings;
  }
  for (const [plugin, given] of Object.entries(section)) {
    const values = given ?? {};
    if (isRecord(values)) settings.set(plugin, values);
    else {
      const at = file.locate(['plugins', plugin]);
      report.problems.push(
        `${at}: plugins.${plugin}: got ${showHidden(values)}, expected a mapping of settings`,
      );
    }
  }
  return settings;
}

function readSettingVariables(env: ConfigInput['env']): SettingsSources['env'] {
  const entries = Object.entries(env).flatMap(([name, value]) =>
    value !== undefined && isSettingVariable(name) ? [[name, value] as const] : [],
  );
  return frozenMap(entries);
}

function warnUnknownVariables(env: ConfigInput['env'], report: Report): void {
  const known = Object.values(VARIABLES).map((variable) => variable.name);
  for (const name of Object.keys(env).filter((candidate) => /^LLMROUTER_/i.test(candidate))) {
    if (env[name] === undefined || known.includes(name) || isSettingVariable(name)) continue;
    const hint = name.startsWith('LLMROUTER_PLUGIN_')
      ? ` (a plugin's own setting is ${SETTING_VARIABLE.name}, with two underscores before the key)`
      : '';
    report.warnings.push(
      `${name}: unknown variable, ignored; did you mean ${nearestVariable(name, known)}?${hint}`,
    );
  }
}

// Compared without the prefix that all share, so that LLMROUTER_PORT leads to PORT.
function nearestVariable(name: string, known: readonly string[]): string {
  const tails = new Map(known.map((candidate) => [candidate.replace('LLMROUTER_', ''), candidate]));
  const tail = nearest(name.slice('LLMROUTER_'.length).toUpperCase(), [...tails.keys()]);
  return tails.get(tail) ?? tail;
}
