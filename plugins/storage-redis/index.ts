import {
  GatewayPlugin,
  type HealthReport,
  type PluginApp,
  type PluginContext,
  type PluginMetadata,
} from 'routeiq-gateway/plugin';
import { Connection } from './connection.ts';
import { RedisStore } from './redis-store.ts';

/** Keeps what plugins store in Redis or Valkey. See README.md. */
export default class StorageRedisPlugin extends GatewayPlugin {
  override readonly metadata: PluginMetadata = {
    name: 'storage-redis',
    version: '1.0.0',
    capabilities: ['STORAGE_BACKEND'],
    priority: 10,
    description: 'Keeps what plugins store in Redis or Valkey, so that replicas share it',
  };
  #connection: Connection | null = null;

  override async startup(app: PluginApp, { settings, logger }: PluginContext): Promise<void> {
    const connection = new Connection({
      url: settings.get<string>('url'),
      connectTimeoutMs: settings.get<number>('connect_timeout_ms'),
      silenceTimeoutMs: settings.get<number>('silence_timeout_ms'),
      log: logger,
    });
    this.#connection = connection;
    app.storageBackend(new RedisStore(connection, settings.get<string>('key_prefix')));
    await connection.open();
  }

  override shutdown(): void {
    this.#connection?.close();
  }

  healthCheck(): HealthReport {
    if (this.#connection?.isReady === true) return { status: 'ok' };
    return { status: 'unhealthy', message: 'There is no connection to the server' };
  }
}
