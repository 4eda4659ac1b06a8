import { setTimeout as delay } from 'node:timers/promises';
import {
  GatewayPlugin,
  type HealthReport,
  type PluginApp,
  type PluginContext,
  type PluginMetadata,
} from 'routeiq-gateway/plugin';
import { Catalog } from './catalog.ts';
import { ServerConnection } from './server-connection.ts';
import { readServers } from './settings.ts';

/** Longest wait of the start for servers, in milliseconds. Those that come later are offered later. */
const START_MS = 10_000;

/** Offers the tools of MCP servers. See README.md. */
export default class McpServersPlugin extends GatewayPlugin {
  override readonly metadata: PluginMetadata = {
    name: 'mcp-servers',
    version: '1.0.0',
    capabilities: ['TOOL_RUNTIME'],
    description: 'Connects MCP servers over stdio and HTTP and offers their tools',
  };
  #connections: readonly ServerConnection[] = [];
  #catalog: Catalog | null = null;

  override async startup(app: PluginApp, { settings, logger, tools }: PluginContext): Promise<void> {
    const refreshMs = settings.get<number>('refresh_ms');
    const onChange = (): void => {
      this.#catalog?.update();
      tools.changed();
    };
    this.#connections = readServers(settings).map(
      (server) => new ServerConnection({ server, refreshMs, log: logger, onChange }),
    );
    const catalog = new Catalog(this.#connections, logger);
    this.#catalog = catalog;
    app.toolRuntime({
      listTools: () => catalog.list(),
      callTool: (name, args, call) => catalog.call(name, args, call),
    });
    const opened = Promise.all(this.#connections.map((connection) => connection.open()));
    await Promise.race([opened, delay(START_MS, null, { ref: false })]);
  }

  override async shutdown(): Promise<void> {
    await Promise.all(this.#connections.map((connection) => connection.close()));
  }

  healthCheck(): HealthReport {
    const lost = this.#connections.filter(({ problem }) => problem !== null);
    const problems = [
      ...lost.map(({ settings, problem }) => `"${settings.name}" is not connected: ${problem}`),
      ...(this.#catalog?.collisions ?? []).map((collision) => `not offered: ${collision}`),
    ];
    if (problems.length === 0) return { status: 'ok' };
    const isDown = lost.length === this.#connections.length;
    return { status: isDown ? 'unhealthy' : 'degraded', message: problems.join('; ') };
  }
}
