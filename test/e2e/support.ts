import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PluginMetadata } from '../../src/plugin-api/metadata.ts';
import type { Plugin } from '../../src/plugin-api/plugin.ts';
import type { GatewayProcess, LogLine } from '../support/gateway-process.ts';

/** For `LLMROUTER_ADMIN_KEY`. */
export const ADMIN_KEY = 'admin-key-of-the-tests';

/** The environment of a gateway that can be asked about its plugins. */
export const WITH_ADMIN: Readonly<Record<string, string>> = { LLMROUTER_ADMIN_KEY: ADMIN_KEY };

/** One plugin as the admin API shows it, as far as the tests look at it. */
export interface AdminPlugin {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly specifier: string;
  readonly source: string;
  readonly capabilities: readonly string[];
  readonly dependsOn: readonly string[];
  readonly priority: number;
  readonly failureMode: string;
  readonly isolation: string;
  readonly state: string;
  readonly reason: { readonly code: string; readonly message: string } | null;
  readonly startupMs: number | null;
  readonly failures: { readonly total: number; readonly recent: number };
  readonly quarantine: {
    readonly since: string;
    readonly until: string | null;
    readonly cause: string;
  } | null;
  readonly contributes: Readonly<Record<string, unknown>>;
}

interface PluginParts {
  readonly metadata?: PluginMetadata;
  startup: Plugin['startup'];
  shutdown?: NonNullable<Plugin['shutdown']>;
  healthCheck?: NonNullable<Plugin['healthCheck']>;
}

/**
 * The source of a plugin file. The methods' own text is what is written, so they are checked like all code, but can use
 * nothing from around them.
 */
export function pluginFile(parts: PluginParts): string {
  const { metadata, ...methods } = parts;
  const members = Object.values(methods).map(String);
  if (metadata !== undefined) members.unshift(`metadata: ${JSON.stringify(metadata)}`);
  return `export default {\n${members.join(',\n')}\n};\n`;
}

/** A plugin that tells the file `trace` when it starts and stops, as `+name` and `-name`. */
export function tracing(metadata: PluginMetadata, startup = ''): string {
  const write = (text: string): string =>
    `process.getBuiltinModule('node:fs').appendFileSync('trace', '${text}${metadata.name}\\n');`;
  return `export default {
    metadata: ${JSON.stringify(metadata)},
    async startup(app, context) { ${write('+')} ${startup} },
    async shutdown() { ${write('-')} },
  };`;
}

/** What tracing plugins told, in order. */
export function readTrace({ dir }: Pick<GatewayProcess, 'dir'>): string[] {
  return readFileSync(join(dir, 'trace'), 'utf8').trimEnd().split('\n');
}

/** Calls the admin API. */
export function admin(gateway: GatewayProcess, path: string, init: RequestInit = {}): Promise<Response> {
  const headers = { authorization: `Bearer ${ADMIN_KEY}`, ...(init.headers as Record<string, string>) };
  return fetch(`${gateway.url}/admin${path}`, { ...init, headers });
}

/** `GET /admin/plugins`. */
export async function listPlugins(
  gateway: GatewayProcess,
): Promise<{ readonly order: readonly string[]; readonly plugins: readonly AdminPlugin[] }> {
  const response = await admin(gateway, '/plugins');
  assert.equal(response.status, 200);
  return (await response.json()) as { order: string[]; plugins: AdminPlugin[] };
}

/** `GET /admin/plugins/:name`. */
export async function inspectPlugin(gateway: GatewayProcess, name: string): Promise<AdminPlugin> {
  const response = await admin(gateway, `/plugins/${name}`);
  assert.equal(response.status, 200, `no plugin ${name}`);
  return (await response.json()) as AdminPlugin;
}

/** Asks the model `echo`, or another one. */
export function chat(
  gateway: GatewayProcess,
  { headers, ...body }: { headers?: Record<string, string>; [field: string]: unknown } = {},
): Promise<Response> {
  return fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model: 'echo', messages: [{ role: 'user', content: 'hello there' }], ...body }),
  });
}

/** Status and error code of an answer. */
export async function outcome(
  response: Response | Promise<Response>,
): Promise<{ status: number; code: unknown }> {
  const settled = await response;
  const body = (await settled.json()) as { error?: { code?: unknown } };
  return { status: settled.status, code: body.error?.code };
}

/** A counter of `/metrics`; 0 when it has no such series. */
export async function metric(
  gateway: GatewayProcess,
  name: string,
  labels: Readonly<Record<string, string>>,
): Promise<number> {
  const text = await (await fetch(`${gateway.url}/metrics`)).text();
  let sum = 0;
  for (const line of text.split('\n')) {
    const [, found, given = '', value] = /^(\w+)\{(.*)\} (\S+)$/.exec(line) ?? [];
    if (found !== name) continue;
    if (Object.entries(labels).every(([key, label]) => given.includes(`${key}="${label}"`)))
      sum += Number(value);
  }
  return sum;
}

/** True for the log line that a plugin's transition into `to` leaves. */
export function transitionOf(plugin: string, to: string): (line: LogLine) => boolean {
  return (line) => line.event === 'plugin_transition' && line.plugin === plugin && line.to === to;
}

/** True for the log line that a plugin's failure leaves. */
export function failureOf(plugin: string): (line: LogLine) => boolean {
  return (line) => line.event === 'plugin_failure' && line.plugin === plugin;
}
