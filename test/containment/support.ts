import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import express, { type ErrorRequestHandler, type RequestHandler } from 'express';
import type { Owner, Phase, PhaseCounters, PluginFailure } from '../../src/containment/owner.ts';
import { sendError, toClientError } from '../../src/wire/error-response.ts';

/** An owner that remembers what it was told. */
export interface RecordingOwner extends Owner {
  readonly failures: PluginFailure[];
}

export function createOwner(
  name: string,
  { root = null, callTimeoutMs = 5_000 }: Partial<Pick<Owner, 'root' | 'callTimeoutMs'>> = {},
): RecordingOwner {
  const counters = new Map<Phase, PhaseCounters>();
  const failures: PluginFailure[] = [];
  return {
    name,
    root,
    callTimeoutMs,
    failures,
    counters(phase) {
      const found = counters.get(phase) ?? { calls: 0, failures: 0, timeouts: 0, skipped: 0, seconds: 0 };
      counters.set(phase, found);
      return found;
    },
    fail: (failure) => void failures.push(failure),
  };
}

/** How each failure of an owner came about, oldest first. */
export function kinds(owner: RecordingOwner): string[] {
  return owner.failures.map(({ phase, kind }) => `${phase} ${kind}`);
}

/** A real Express server on a free port; a request that no handler answers gets a 404 `not_found`. */
export async function serve(t: TestContext, ...handlers: RequestHandler[]): Promise<string> {
  const app = express();
  for (const handler of handlers) app.use(handler);
  app.use((_req, res) => void res.status(404).json({ error: { code: 'not_found' } }));
  const onError: ErrorRequestHandler = (error, _req, res, _next) => sendError(res, toClientError(error));
  app.use(onError);
  const server = createServer(app).listen(0, '127.0.0.1');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Status and error code (or text) of an answer. */
export async function ask(url: string, init?: RequestInit): Promise<string> {
  const response = await fetch(url, init);
  const text = await response.text();
  try {
    return `${response.status} ${(JSON.parse(text) as { error: { code: string } }).error.code}`;
  } catch {
    return `${response.status} ${text}`;
  }
}

/** A promise and the function that settles it. */
export function signal<T = void>(): { readonly done: Promise<T>; readonly resolve: (value: T) => void } {
  const { promise, resolve } = Promise.withResolvers<T>();
  return { done: promise, resolve };
}
