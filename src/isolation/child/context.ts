import type { Logger } from 'winston';
import { copyPlain, type PlainRecord } from '../../config/plain.ts';
import { toSettings } from '../../config/plugin-settings.ts';
import { deepFreeze } from '../../freeze.ts';
import type { PluginContext } from '../../plugin-api/context.ts';
import type { Storage } from '../../plugin-api/storage.ts';
import { checked } from '../../storage/checked.ts';
import { createPluginLogger } from '../../telemetry/logger.ts';
import { createPlainer } from '../../telemetry/plain.ts';
import type { Channel } from '../channel/channel.ts';
import type { StartOrder } from '../protocol.ts';
import { createRemoteFetch } from './fetch.ts';
import { createRemoteMetrics } from './metrics.ts';

/** The context that a plugin gets in its own process. */
export interface ChildContext {
  readonly plugin: PluginContext;
  /** Aborts `context.signal`. */
  readonly abort: AbortController;
}

const STORAGE_METHODS = ['get', 'set', 'delete', 'increment', 'compareAndSet', 'list'] as const;

/** What the gateway gives a plugin, each call of it a call of the gateway. */
export function createChildContext(channel: Channel, order: StartOrder): ChildContext {
  const abort = new AbortController();
  const models = deepFreeze([...order.models]);
  const plugin: PluginContext = Object.freeze({
    settings: toSettings(copyPlain(order.settings) as PlainRecord),
    logger: createRemoteLogger(channel, order),
    validateOutboundUrl: async (url: string | URL) =>
      (await channel.call('validateOutboundUrl', String(url))) as string,
    fetch: createRemoteFetch(channel),
    storage: createRemoteStorage(channel),
    models: Object.freeze({ list: () => models }),
    tools: Object.freeze({
      list: () => channel.call('tools.list', null),
      call: (name: string, args = {}) => channel.call('tools.call', { name, args }),
      changed: () => channel.notify('toolsChanged', null),
    }) as PluginContext['tools'],
    metrics: createRemoteMetrics(channel, order.name),
    signal: abort.signal,
  });
  return { plugin, abort };
}

/** The plugin's own winston logger; its lines go to the gateway, which knows the request that they are about. */
function createRemoteLogger(channel: Channel, { name, logLevel, debug }: StartOrder): Logger {
  const tell = (level: string, info: unknown): void => {
    const plain = createPlainer({ debug });
    channel.notify('log', { level, info: plain(info) });
  };
  const parent = {
    level: logLevel,
    log: tell,
    warn: (message: string, info: object) => tell('warn', { message, ...info }),
  };
  return createPluginLogger(parent as unknown as Logger, name, () => ({}));
}

/** `undefined` has to stay a value of its own: it is how a missing key is spoken of. */
function createRemoteStorage(channel: Channel): Storage {
  const methods = STORAGE_METHODS.map((method) => [
    method,
    (...args: readonly unknown[]) =>
      channel.call('storage', { method, args: args.map((value) => (value === undefined ? [] : [value])) }),
  ]);
  return checked(Object.fromEntries(methods) as Storage);
}
