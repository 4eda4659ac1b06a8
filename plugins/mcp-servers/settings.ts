import type { PluginContext } from 'routeiq-gateway/plugin';

/** How a server is reached. */
export type Endpoint =
  | {
      readonly kind: 'stdio';
      readonly command: string;
      readonly args: readonly string[];
      readonly env: Readonly<Record<string, string>>;
      readonly cwd: string | null;
    }
  | { readonly kind: 'http'; readonly url: string; readonly headers: Readonly<Record<string, string>> };

/** One server of the settings. */
export interface ServerSettings {
  readonly name: string;
  readonly endpoint: Endpoint;
  readonly prefix: string;
  /** Whether a tool is offered, by the name that the server gives it. */
  readonly isOffered: (tool: string) => boolean;
  readonly timeoutMs: number;
}

/** As the settings schema of package.json has checked it. */
interface RawServer {
  readonly command?: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly url?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly prefix?: string;
  readonly allow_tools?: readonly string[];
  readonly deny_tools?: readonly string[];
  readonly timeout_ms?: number;
}

const DEFAULT_TIMEOUT_MS = 20_000;

/** @throws Error when two servers would give their tools the same prefix */
export function readServers(settings: PluginContext['settings']): readonly ServerSettings[] {
  const raw = settings.get<Readonly<Record<string, RawServer>>>('servers');
  const servers = Object.entries(raw).map(([name, server]) => toServer(name, server));
  const byPrefix = new Map<string, string>();
  for (const { name, prefix } of servers) {
    const other = byPrefix.get(prefix);
    if (other !== undefined) {
      throw new Error(`the servers "${other}" and "${name}" have the same prefix "${prefix}", expected two`);
    }
    byPrefix.set(prefix, name);
  }
  return servers;
}

function toServer(name: string, server: RawServer): ServerSettings {
  const { prefix = `${name}__`, allow_tools = ['*'], deny_tools = [], timeout_ms } = server;
  const [isAllowed, isDenied] = [toFilter(allow_tools), toFilter(deny_tools)];
  return {
    name,
    endpoint: toEndpoint(server),
    prefix,
    isOffered: (tool) => isAllowed(tool) && !isDenied(tool),
    timeoutMs: timeout_ms ?? DEFAULT_TIMEOUT_MS,
  };
}

function toEndpoint({ command, args = [], env = {}, cwd, url = '', headers = {} }: RawServer): Endpoint {
  if (command === undefined) return { kind: 'http', url, headers };
  return { kind: 'stdio', command, args, env, cwd: cwd ?? null };
}

function toFilter(globs: readonly string[]): (name: string) => boolean {
  const patterns = globs.map((glob) => new RegExp(`^${glob.split('*').map(RegExp.escape).join('.*')}$`, 's'));
  return (name) => patterns.some((pattern) => pattern.test(name));
}
