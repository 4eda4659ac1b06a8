import { type RequestHandler, Router } from 'express';
import type { Containment } from '../containment/containment.ts';
import { containHandler, type OnFailure } from '../containment/handler.ts';
import type { MiddlewareContribution } from '../contributions.ts';
import { GatewayError } from '../errors.ts';
import { sendError } from '../wire/error-response.ts';
import { type Member, skipCall } from './member.ts';
import type { MiddlewarePhase } from './types.ts';

/**
 * All middleware as one handler. One that fails or is quarantined is skipped, unless the plugin's metadata says
 * `failClosed`: then the request is answered with 503.
 */
export function compileMiddleware(
  containment: Containment,
  members: readonly Member[],
): MiddlewarePhase | null {
  const steps = members.flatMap((member) => stepsOf(containment, member));
  if (steps.length === 0) return null;
  const mayBegin = beginnings(steps);
  return {
    handle: inTurn(steps),
    concerns: (url) =>
      (mayBegin === null || mayBegin.has(lowerCase(url.charCodeAt(1)))) &&
      steps.some(({ prefixes }) => mayMatch(prefixes, url)),
  };
}

/** One handler, and where it may have something to do. */
interface Step {
  readonly handler: RequestHandler;
  /** The request's target begins with one of them, in whichever case, or the handler is not entered. `null`: anywhere. */
  readonly prefixes: readonly string[] | null;
}

function stepsOf(containment: Containment, member: Member): Step[] {
  if (member.bag !== null) {
    return member.bag.middleware.map((entry) => ({
      handler: toHandler(containment, member, entry),
      prefixes: entry.path === null ? null : [entry.path].flat().map(literalPrefix),
    }));
  }
  const refuse: RequestHandler = (_req, res) => sendError(res, notStarted(member));
  return member.guards.requests ? [{ handler: refuse, prefixes: null }] : [];
}

/** The first letters behind the slash of all prefixes: most targets begin with another. `null`: with any. */
function beginnings(steps: readonly Step[]): ReadonlySet<number> | null {
  const letters = new Set<number>();
  for (const { prefixes } of steps) {
    for (const prefix of prefixes ?? ['']) {
      if (prefix.length < 2) return null;
      letters.add(prefix.charCodeAt(1));
    }
  }
  return letters;
}

/** What a path begins with wherever it matches: the part before its first parameter, wildcard, option or escape. */
function literalPrefix(path: string): string {
  const literal = path.slice(0, path.search(/[:*{}()[\]?+!\\]|$/));
  // `/users/` matches `/users` as well.
  return literal.replace(/\/+$/, '').toLowerCase();
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

/**
 * Handlers one after the other. `next` is made per step, since a late second call must not move another step. Express's
 * own matching costs as much as a small handler: a path that cannot match is passed over before it.
 */
function inTurn(steps: readonly Step[]): RequestHandler {
  return (req, res, next) => {
    const goOn = (from: number): void => {
      let index = from;
      // The target is read each time: a handler may change it.
      while (index < steps.length && !mayMatch((steps[index] as Step).prefixes, req.url)) index++;
      const step = steps[index];
      if (step === undefined) next();
      else step.handler(req, res, (error?: unknown) => (error === undefined ? goOn(index + 1) : next(error)));
    };
    goOn(0);
  };
}

function mayMatch(prefixes: readonly string[] | null, url: string): boolean {
  if (prefixes === null) return true;
  for (const prefix of prefixes) if (startsWith(url, prefix)) return true;
  return false;
}

/** @param prefix in lower case */
function startsWith(url: string, prefix: string): boolean {
  if (url.length < prefix.length) return false;
  for (let at = 0; at < prefix.length; at++) {
    const code = url.charCodeAt(at);
    if (code !== prefix.charCodeAt(at) && lowerCase(code) !== prefix.charCodeAt(at)) return false;
  }
  return true;
}

function lowerCase(code: number): number {
  return code >= 0x41 && code <= 0x5a ? code + 0x20 : code;
}
