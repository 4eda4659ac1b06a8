import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { DEFAULT_INHERITED_ENV_VARS, StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import type { Endpoint } from './settings.ts';

/** The way to a server. */
export type ServerTransport = StdioClientTransport | StreamableHTTPClientTransport;

/**
 * Makes the way to a server; nothing is connected or started yet.
 *
 * @param onLine told each line that a program writes to its standard error
 */
export function createTransport(endpoint: Endpoint, onLine: (line: string) => void): ServerTransport {
  if (endpoint.kind === 'http') {
    const { url, headers } = endpoint;
    // A redirect would carry the headers, and with them credentials, to wherever the server says.
    return new StreamableHTTPClientTransport(new URL(url), {
      requestInit: { headers: { ...headers }, redirect: 'error' },
    });
  }
  const { command, args, env, cwd } = endpoint;
  const transport = new StdioClientTransport({
    command,
    args: [...args],
    env: environmentOf(env),
    stderr: 'pipe',
    ...(cwd === null ? {} : { cwd }),
  });
  const { stderr } = transport;
  if (stderr instanceof Readable) createInterface({ input: stderr }).on('line', onLine);
  return transport;
}

/** The transport adds variables of its own process, which may be no business of the program. PATH finds the program. */
function environmentOf(given: Readonly<Record<string, string>>): Record<string, string> {
  const env: Record<string, string> = {};
  for (const name of DEFAULT_INHERITED_ENV_VARS) {
    // `spawn` leaves out what is undefined, and an object without the name would not hide it.
    if (name !== 'PATH') Reflect.set(env, name, undefined);
  }
  return Object.assign(env, given);
}
