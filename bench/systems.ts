import { cpSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from './load/processes.ts';
import { installPeer } from './peers/packages.ts';
import { MODELS } from './workloads.ts';

/** What can be measured. All but the first ones are this gateway, with different plugins. */
export const SYSTEM_NAMES = [
  'raw',
  'fastify',
  'portkey',
  'gateway',
  'plugins',
  'noop',
  'middleware',
  'evaluator',
  'workers',
] as const;
export type SystemName = (typeof SYSTEM_NAMES)[number];

export function isSystemName(name: string): name is SystemName {
  return (SYSTEM_NAMES as readonly string[]).includes(name);
}

/** Where a system listens and what it is to ask. */
export interface SystemPlace {
  readonly port: number;
  /** For example `http://127.0.0.1:9400`. */
  readonly upstream: string;
  /** An empty folder is made below it for each system. */
  readonly tmp: string;
}

export interface System {
  /** One line for the table's legend. */
  readonly about: string;
  start(place: SystemPlace): Command;
  /** What its clients have to send besides. */
  headers?(place: SystemPlace): Readonly<Record<string, string>>;
}

const HERE = import.meta.dirname;
const GATEWAY = join(HERE, '../dist/index.js');
/** The key that `plugins/ordinary/team-keys.ts` knows. */
const KEY = { authorization: 'Bearer bench-key' };

/** The systems by name. */
export const SYSTEMS: Readonly<Record<SystemName, System>> = {
  raw: {
    about: 'node:http and undici, nothing looked at: the baseline',
    start: ({ port, upstream, tmp }) => ({
      args: [join(HERE, 'peers/raw.ts'), String(port), upstream],
      cwd: tmp,
    }),
  },
  fastify: {
    about: 'Fastify 5 with @fastify/http-proxy: no LLM features',
    start: ({ port, upstream, tmp }) => ({
      args: [join(HERE, 'peers/fastify.ts'), String(port), upstream, installPeer('fastify')],
      cwd: tmp,
    }),
  },
  portkey: {
    about: 'Portkey gateway 1.15.2',
    start: ({ port, tmp }) => ({
      args: [
        join(installPeer('portkey'), 'node_modules/@portkey-ai/gateway/build/start-server.js'),
        `--port=${port}`,
        '--headless',
      ],
      cwd: tmp,
    }),
    headers: ({ upstream }) => ({
      'x-portkey-provider': 'openai',
      'x-portkey-custom-host': `${upstream}/v1`,
      authorization: 'Bearer key',
    }),
  },
  gateway: { about: 'this gateway without plugins', start: (place) => gateway(place, []) },
  plugins: {
    about: 'with ten ordinary plugins (bench/plugins/ordinary)',
    start: (place) => gateway(place, ['ordinary'], { strategy: 'first-listed' }),
    headers: () => KEY,
  },
  noop: {
    about: 'with twenty plugins that register one no-op of every kind (bench/plugins/noop.ts)',
    start: (place) => gateway(place, [], { copies: 20 }),
  },
  middleware: {
    about: 'with one Express middleware in front of everything',
    start: (place) => gateway(place, ['middleware']),
  },
  evaluator: {
    about: 'with one block evaluator that reads every answer',
    start: (place) => gateway(place, ['evaluator']),
  },
  workers: {
    about: 'without plugins, two worker processes',
    start: (place) => gateway(place, [], { env: { LLMROUTER_WORKERS: '2' } }),
  },
};

interface GatewayVariant {
  readonly env?: Readonly<Record<string, string>>;
  readonly strategy?: string;
  /** Copies of `plugins/noop.ts`. */
  readonly copies?: number;
}

function gateway(
  { port, upstream, tmp }: SystemPlace,
  folders: readonly string[],
  { env = {}, strategy = 'simple-shuffle', copies = 0 }: GatewayVariant = {},
): Command {
  const cwd = mkdtempSync(join(tmp, 'gateway-'));
  const plugins = join(cwd, 'plugins');
  mkdirSync(plugins);
  for (const folder of folders) cpSync(join(HERE, 'plugins', folder), plugins, { recursive: true });
  for (let copy = 1; copy <= copies; copy++) {
    cpSync(join(HERE, 'plugins/noop.ts'), join(plugins, `noop-${copy}.ts`));
  }
  writeFileSync(join(cwd, 'gateway.yaml'), JSON.stringify(configFor(upstream, strategy)));
  return { args: [GATEWAY], cwd, env: { PORT: String(port), ...env } };
}

function configFor(upstream: string, strategy: string): object {
  return {
    model_list: Object.values(MODELS).map((model) => ({
      model_name: model,
      litellm_params: { model: `openai/${model}`, api_base: `${upstream}/v1`, api_key: 'bench' },
    })),
    router_settings: { routing_strategy: strategy },
  };
}
