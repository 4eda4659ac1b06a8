import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import http, { type IncomingMessage, type RequestListener } from 'node:http';
import net, { type AddressInfo, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import type { OutboundConfig } from '../../src/config/types.ts';
import type { LookupAll } from '../../src/net/guard.ts';
import {
  createOutboundPolicy,
  type OutboundLimits,
  type OutboundPolicy,
} from '../../src/net/outbound-policy.ts';

/** A server on loopback that writes down who came. */
export interface Loopback {
  readonly port: number;
  readonly origin: string;
  /** Requests that arrived, in order. */
  readonly requests: IncomingMessage[];
  /** Connections that were opened, whether or not a request came over them. */
  readonly connections: Socket[];
  /** Emits `closed` when a client's connection has gone. */
  readonly events: EventEmitter;
}

/** Starts an HTTP server that ends with the test. */
export async function serve(
  t: TestContext,
  listener: RequestListener,
  address: string = '127.0.0.1',
): Promise<Loopback> {
  const requests: IncomingMessage[] = [];
  const server = http.createServer((req, res) => {
    requests.push(req);
    return listener(req, res);
  });
  return { ...(await listen(t, server, address)), requests };
}

/** Starts a server that answers the first bytes of each connection with `answer`, then does `after`. */
export async function serveRaw(
  t: TestContext,
  answer: string | Buffer,
  after: (socket: Socket) => void,
): Promise<Loopback> {
  const server = net.createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.write(answer, () => after(socket)));
  });
  return { ...(await listen(t, server, '127.0.0.1')), requests: [] };
}

/** Starts listening on a free port. */
export async function listen(
  t: TestContext,
  server: net.Server,
  address: string,
): Promise<Omit<Loopback, 'requests'>> {
  const connections: Socket[] = [];
  const events = new EventEmitter();
  server.on('connection', (socket) => {
    connections.push(socket);
    socket.on('close', () => events.emit('closed'));
  });
  server.listen(0, address);
  await once(server, 'listening');
  t.after(() => {
    server.close();
    for (const socket of connections) socket.destroy();
  });
  const { port } = server.address() as AddressInfo;
  return { port, origin: `http://${address}:${port}`, connections, events };
}

export interface PolicySetup extends Partial<OutboundConfig> {
  /** Answers by name, or a resolver. */
  readonly names?: Readonly<Record<string, readonly string[]>> | LookupAll;
  readonly limits?: Partial<OutboundLimits>;
}

/** A policy that may reach 127.0.0.1, unless it is told otherwise, and ends with the test. */
export function policyFor(t: TestContext, setup: PolicySetup = {}): OutboundPolicy {
  const { names = {}, limits = {}, ...exceptions } = setup;
  const rules = { allowPrivate: false, hosts: [], cidrs: ['127.0.0.1/32'], urls: [], ...exceptions };
  const lookup = typeof names === 'function' ? names : answersOf(names);
  const policy = createOutboundPolicy(rules, { lookup, limits });
  t.after(() => policy.close());
  return policy;
}

function answersOf(names: Readonly<Record<string, readonly string[]>>): LookupAll {
  return async (name) => {
    const answers = names[name];
    if (answers === undefined) throw new Error(`getaddrinfo ENOTFOUND ${name}`);
    return answers.map((address) => ({ address, family: net.isIP(address) }));
  };
}

/** For `assert.rejects`: the standard's network error, with the code of what was behind it. */
export function failedWith(code: string): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof TypeError, `not a network error: ${error}`);
    assert.equal(error.message, 'fetch failed');
    assert.equal((error.cause as { code?: unknown }).code, code);
    return true;
  };
}
