import type { PluginCapability } from '../plugin-api/capability.ts';
import { FAILURE_MODES, type FailureMode } from '../plugin-api/failure-mode.ts';
import { outboundHost, outboundRange, outboundUrl } from './outbound.ts';
import * as parse from './parsers.ts';
import type { Secret } from './secret.ts';
import type { IsolationPolicy, LogConfig, PermissionGrants } from './types.ts';
import { listing, optional, type Variable, type VariableDoc, variable } from './variable.ts';

/** Delays above this make `setTimeout` fire at once. */
const MAX_DELAY_MS = 2_147_483_647;
/** V8's longest string: a body above it could be received and never be read. */
const MAX_BODY_BYTES = 536_870_888;
/** Each is a request to a model, with all that came before in it. */
const MAX_TOOL_ROUNDS = 100;
/** How often a cool-down may double; its longest must still fit a timer. */
const MAX_COOLDOWN_GROWTH = 32;

const LOG_LEVELS: readonly LogConfig['level'][] = [
  'error',
  'warn',
  'info',
  'http',
  'verbose',
  'debug',
  'silly',
];

const LOG_FORMATS: readonly LogConfig['format'][] = ['json', 'pretty'];

type Fields<K extends string, T> = Readonly<Record<K, Variable<T>>>;

/** The type of {@link VARIABLES}. */
export type Variables = Fields<'host' | 'dataDir', string> &
  Fields<'config' | 'lockfile', string | null> &
  Fields<'adminKey', Secret | null> &
  Fields<
    'specifiers' | 'dirs' | 'disabled' | 'outboundHosts' | 'outboundCidrs' | 'outboundUrls',
    readonly string[]
  > &
  Fields<'allowlist', readonly string[] | null> &
  Fields<'allowedCapabilities', readonly PluginCapability[] | null> &
  Fields<'failureMode', FailureMode> &
  Fields<'startupTimeoutMs' | 'shutdownTimeoutMs' | 'callTimeoutMs' | 'stallTimeoutMs', number> &
  Fields<'memoryLimit' | 'probationMs' | 'failureThreshold' | 'failureWindowMs' | 'cooldownMs', number> &
  Fields<'port' | 'bodyLimit' | 'drainTimeoutMs' | 'toolRounds' | 'toolTimeoutMs', number> &
  Fields<'workers', number | 'auto'> &
  Fields<'isolation', IsolationPolicy> &
  Fields<'permissions', PermissionGrants> &
  Fields<'watch' | 'debug' | 'outboundAllowPrivate', boolean> &
  Fields<'logLevel', LogConfig['level']> &
  Fields<'logFormat', LogConfig['format'] | null>;

const delay = parse.integer(1, MAX_DELAY_MS, 'milliseconds');

/**
 * Every variable that the gateway reads. The README's table and `.env.example` are held equal to it by tests. What a
 * variable is when left out is read from the default shown here.
 */
export const VARIABLES: Variables = Object.freeze({
  specifiers: listing('LLMROUTER_PLUGINS', 'comma-separated plugin specifiers, tried in this order', ''),
  allowlist: optional('LLMROUTER_PLUGINS_ALLOWLIST', 'comma-separated specifiers that may load', parse.list, {
    note: 'unset: all; empty or blank: none',
    blankCounts: true,
  }),
  allowedCapabilities: optional(
    'LLMROUTER_PLUGINS_ALLOWED_CAPABILITIES',
    'comma-separated capabilities that plugins may use',
    parse.listOf(parse.capability),
    { note: 'unset: all; empty: none', blankCounts: true },
  ),
  failureMode: variable(
    'LLMROUTER_PLUGINS_FAILURE_MODE',
    'what happens when a plugin fails: continue, abort or quarantine',
    'continue',
    parse.oneOf(FAILURE_MODES),
  ),
  dirs: listing('LLMROUTER_PLUGINS_DIR', 'comma-separated folders of plugins', 'plugins'),
  disabled: listing('LLMROUTER_PLUGINS_DISABLED', 'comma-separated names of plugins that are not loaded', ''),
  startupTimeoutMs: variable(
    'LLMROUTER_PLUGINS_STARTUP_TIMEOUT_MS',
    'longest startup() of one plugin, in milliseconds',
    '30000',
    delay,
  ),
  shutdownTimeoutMs: variable(
    'LLMROUTER_PLUGINS_SHUTDOWN_TIMEOUT_MS',
    'longest shutdown() of one plugin, in milliseconds',
    '10000',
    delay,
  ),
  callTimeoutMs: variable(
    'LLMROUTER_PLUGINS_CALL_TIMEOUT_MS',
    'longest call into a plugin until it answers, hands on or fails, in milliseconds',
    '30000',
    delay,
  ),
  stallTimeoutMs: variable(
    'LLMROUTER_PLUGINS_STALL_TIMEOUT_MS',
    'longest time that a plugin may hold up the whole process, in milliseconds; then the process ends; 0: no limit',
    '10000',
    parse.integer(0, MAX_DELAY_MS, 'milliseconds'),
  ),
  failureThreshold: variable(
    'LLMROUTER_PLUGINS_FAILURE_THRESHOLD',
    'runtime failures within the window that trip the breaker',
    '5',
    parse.integer(1, 1_000_000),
  ),
  failureWindowMs: variable(
    'LLMROUTER_PLUGINS_FAILURE_WINDOW_MS',
    'that window, in milliseconds',
    '60000',
    delay,
  ),
  cooldownMs: variable(
    'LLMROUTER_PLUGINS_COOLDOWN_MS',
    'first cool-down of a tripped plugin, in milliseconds; doubles at each further trip, up to 32 times',
    '30000',
    parse.integer(1, Math.floor(MAX_DELAY_MS / MAX_COOLDOWN_GROWTH), 'milliseconds'),
  ),
  isolation: variable(
    'LLMROUTER_PLUGINS_ISOLATION',
    'least isolation of plugins: inline or process; a comma-separated name=process sets that of one plugin',
    'inline',
    parse.isolation,
  ),
  permissions: variable(
    'LLMROUTER_PLUGINS_PERMISSIONS',
    'what plugins in processes of their own may have of what they ask for: name:net, name:read=/path, name:write=/path',
    '',
    parse.permissions,
  ),
  memoryLimit: variable(
    'LLMROUTER_PLUGINS_MEMORY_LIMIT',
    'memory that a plugin in a process of its own may take, in MiB',
    '512',
    parse.integer(64, 1_048_576, 'MiB'),
  ),
  watch: variable(
    'LLMROUTER_PLUGINS_WATCH',
    'true: plugins in folders are loaded, reloaded and shut down as their files change',
    'false',
    parse.flag,
  ),
  probationMs: variable(
    'LLMROUTER_PLUGINS_PROBATION_MS',
    'time after a reload in which a plugin that fails too often gives way to its previous version, in milliseconds; 0: none',
    '300000',
    parse.integer(0, MAX_DELAY_MS, 'milliseconds'),
  ),
  lockfile: optional(
    'LLMROUTER_PLUGINS_LOCKFILE',
    'lock file of routeiq plugins lock; a plugin that differs from it is rejected',
    parse.text,
  ),
  config: optional('LLMROUTER_CONFIG', 'YAML file with models, routing and plugin settings', parse.text, {
    note: 'gateway.yaml if present',
  }),
  host: variable(
    'LLMROUTER_HOST',
    'address to listen on',
    '127.0.0.1',
    parse.listenHost,
    'in the image: 0.0.0.0',
  ),
  port: variable(
    'PORT',
    'port to listen on; 0 picks a free one and logs it',
    '4000',
    parse.integer(0, 65_535),
  ),
  workers: variable(
    'LLMROUTER_WORKERS',
    'processes that share the port; auto: one per core',
    '1',
    parse.workers,
  ),
  bodyLimit: variable(
    'LLMROUTER_BODY_LIMIT',
    'largest request body, in bytes',
    '10485760',
    parse.integer(1, MAX_BODY_BYTES, 'bytes'),
  ),
  drainTimeoutMs: variable(
    'LLMROUTER_DRAIN_TIMEOUT_MS',
    'longest drain on SIGTERM, in milliseconds',
    '30000',
    parse.integer(0, MAX_DELAY_MS, 'milliseconds'),
  ),
  toolRounds: variable(
    'LLMROUTER_TOOLS_MAX_ROUNDS',
    'rounds of tool calls that the gateway runs for one request with x-llmrouter-tools',
    '8',
    parse.integer(1, MAX_TOOL_ROUNDS),
  ),
  toolTimeoutMs: variable(
    'LLMROUTER_TOOLS_TIMEOUT_MS',
    'time after which such a request begins no further round and its tools are aborted, in milliseconds',
    '120000',
    delay,
  ),
  adminKey: optional('LLMROUTER_ADMIN_KEY', 'bearer key of /admin/*', parse.bearerKey, {
    note: 'unset: those paths answer 404',
    secret: true,
  }),
  logLevel: variable(
    'LLMROUTER_LOG_LEVEL',
    `least level that is logged: ${LOG_LEVELS.join(', ')}`,
    'info',
    parse.oneOf(LOG_LEVELS),
  ),
  logFormat: optional('LLMROUTER_LOG_FORMAT', 'json or pretty', parse.oneOf(LOG_FORMATS), {
    note: 'json; on a terminal pretty',
  }),
  debug: variable(
    'LLMROUTER_DEBUG',
    "true: Server-Timing on answers, causes with stacks in the log, settings.get('debug') of every plugin",
    'false',
    parse.flag,
  ),
  dataDir: variable('LLMROUTER_DATA_DIR', 'folder of the embedded store', 'data', parse.text),
  outboundAllowPrivate: variable(
    'LLMROUTER_OUTBOUND_ALLOW_PRIVATE',
    'true: plugins may connect to private addresses (never loopback, link-local or metadata)',
    'false',
    parse.flag,
  ),
  outboundHosts: listing(
    'LLMROUTER_OUTBOUND_HOST_ALLOWLIST',
    'comma-separated host names that plugins may connect to; *.x: every name below x',
    '',
    parse.listOf(outboundHost),
  ),
  outboundCidrs: listing(
    'LLMROUTER_OUTBOUND_CIDR_ALLOWLIST',
    'comma-separated address ranges that plugins may connect to',
    '',
    parse.listOf(outboundRange),
  ),
  outboundUrls: listing(
    'LLMROUTER_OUTBOUND_URL_ALLOWLIST',
    'comma-separated beginnings of URLs that plugins may connect to',
    '',
    parse.listOf(outboundUrl),
  ),
});

/** The pattern of plugins' own settings, as a row of the table. */
export const SETTING_VARIABLE: VariableDoc = Object.freeze({
  name: 'LLMROUTER_PLUGIN_<NAME>__<KEY>',
  meaning: "a plugin's own setting: name and key in upper case, every other character _",
  default: null,
});

/** All rows of the table that users read, in order. */
export const VARIABLE_DOCS: readonly VariableDoc[] = Object.freeze([
  ...Object.values(VARIABLES),
  SETTING_VARIABLE,
]);

/** The default in words, for example `127.0.0.1 (in the image: 0.0.0.0)`, `empty` or `unset`. */
export function describeDefault(row: VariableDoc): string {
  if (row.default === null) return row.note ?? 'unset';
  const shown = row.default === '' ? 'empty' : row.default;
  return row.note === undefined ? shown : `${shown} (${row.note})`;
}
