import { type RequestHandler, Router } from 'express';
import type { Containment } from '../containment/containment.ts';
import { containHandler, type OnFailure } from '../containment/handler.ts';
import type { MiddlewareContribution } from '../contributions.ts';
import { GatewayError } from '../errors.ts';
import { sendError } from '../wire/error-response.ts';
import { type Member, skipCall } from './member.ts';

/**
 * All middleware as one handler. One that fails or is quarantined is skipped, unless the plugin's metadata says
 * `failClosed`: then the request is answered with 503.
 */
export function compileMiddleware(
  containment: Containment,
  members: readonly Member[],
): RequestHandler | null {
  const handlers = members.flatMap((member) => handlersOf(containment, member));
  if (handlers.length === 0) return null;
  return inTurn(handlers);
}

function handlersOf(containment: Containment, member: Member): RequestHandler[] {
  if (member.bag !== null) return member.bag.middleware.map((entry) => toHandler(containment, member, entry));
  return member.guards.requests ? [(_req, res) => sendError(res, notStarted(member))] : [];
}

function toHandler(containment: Containment, member: Member, entry: MiddlewareContribution): RequestHandler {
  const site = {
    owner: member.owner,
    phase: 'middleware' as const,
    what: describe(entry),
    onFailure: onFailure(member),
  };
  const contained =
    member.gate === null
      ? containHandler(containment, site, entry.handler)
      : tried(containment, member, site, entry.handler);
  return entry.path === null ? contained : Router().use(entry.path as string | string[], contained);
}

/** A quarantined plugin's middleware: the trial when one is due, else skipped or refused. */
function tried(
  containment: Containment,
  member: Member,
  site: Parameters<typeof containHandler>[1],
  handler: RequestHandler,
): RequestHandler {
  const { gate } = member;
  return (req, res, next) => {
    if (gate === null || gate.begin()) {
      containHandler(containment, site, handler, (succeeded) => gate?.end(succeeded))(req, res, next);
    } else {
      site.onFailure(skipCall(site, gate), req, res, next);
    }
  };
}

function onFailure(member: Member): OnFailure {
  if (!member.failClosed) return (_error, _req, _res, next) => next();
  return (error, _req, res) => sendError(res, closed(error));
}

/** The contract answers 503 for middleware that fails closed, whatever the failure was. */
function closed(error: GatewayError): GatewayError {
  return new GatewayError(error.code, error.message, { status: 503, plugin: error.plugin, cause: error });
}

/** For plugins with metadata `failClosed` that take no part. */
export function notStarted(member: Member): GatewayError {
  return new GatewayError('plugin_error', `Plugin "${member.name}" is not started`, {
    status: 503,
    plugin: member.name,
  });
}

function describe({ path }: MiddlewareContribution): string {
  return path === null ? 'middleware' : `middleware at ${String(path)}`;
}

/** Handlers one after the other. `next` is made per step, since a late second call must not move another step. */
function inTurn(handlers: readonly RequestHandler[]): RequestHandler {
  return (req, res, next) => {
    const step = (index: number): void => {
      const handler = handlers[index];
      if (handler === undefined) next();
      else handler(req, res, (error?: unknown) => (error === undefined ? step(index + 1) : next(error)));
    };
    step(0);
  };
}
