import { type RequestHandler, Router } from 'express';
import type { Containment } from '../containment/containment.ts';
import { containHandler, type HandlerSite } from '../containment/handler.ts';
import { type RouteContribution, routeLabel } from '../contributions.ts';
import { sendError } from '../wire/error-response.ts';
import { type Member, skipCall } from './member.ts';

/** All routes as one Express router; it calls `next()` when none matches. Order follows the plugins' load order. */
export function compileRoutes(containment: Containment, members: readonly Member[]): RequestHandler | null {
  const router = Router();
  for (const member of members) {
    for (const route of member.bag?.routes ?? [])
      addRoute(router, route, toHandler(containment, member, route));
  }
  return router.stack.length === 0 ? null : router;
}

function addRoute(router: Router, { method, path }: RouteContribution, handler: RequestHandler): void {
  if (method === 'mount') router.use(path, handler);
  else router[method](path, handler);
}

function toHandler(containment: Containment, member: Member, route: RouteContribution): RequestHandler {
  const site: HandlerSite = {
    owner: member.owner,
    phase: 'route',
    what: routeLabel(route),
    onFailure: (error, _req, res) => sendError(res, error),
  };
  const handler = composed(route);
  const { gate } = member;
  if (gate === null) return containHandler(containment, site, handler);
  return (req, res, next) => {
    if (gate.begin()) {
      containHandler(containment, site, handler, (succeeded) => gate.end(succeeded))(req, res, next);
      return;
    }
    const error = skipCall(site, gate);
    res.setHeader('retry-after', error.retryAfterSeconds);
    sendError(res, error);
  };
}

/** Express's routes can be dispatched to like a handler; its types leave that out. */
interface DispatchableRoute {
  dispatch: RequestHandler;
}

/** The handlers of one registration as Express composes them: `next('route')` and error handlers included. */
function composed({ path, handlers }: RouteContribution): RequestHandler {
  const [first, ...rest] = handlers;
  if (first !== undefined && rest.length === 0) return first;
  const route: unknown = Router()
    .route(path)
    .all(...handlers);
  return (req, res, next) => (route as DispatchableRoute).dispatch(req, res, next);
}
