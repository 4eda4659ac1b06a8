import type winston from 'winston';
import type { GatewayRequest } from '../wire/message.ts';
import { pathOf } from './guards.ts';
import type { ServedResponse } from './messages.ts';

/** To be called once per request, at arrival. */
export type AccessLog = (req: GatewayRequest, res: ServedResponse) => void;

/**
 * One line per request at the level `http`. `null` when that level is off, as it is by default: even the call of a
 * silenced logger costs a fifth of a small request. Neither query nor headers are logged, they may hold secrets.
 */
export function createAccessLog(log: winston.Logger): AccessLog | null {
  if (!log.isLevelEnabled('http')) return null;
  return (req, res) => {
    const startedAt = performance.now();
    const path = pathOf(req.url ?? '/');
    res.once('close', () => {
      log.http('request', {
        requestId: req.id,
        method: req.method,
        path,
        // Without a head there was no answer: the client left before.
        status: res.headersSent ? res.statusCode : null,
        complete: res.writableFinished,
        surface: res.surface,
        durationMs: Math.round(performance.now() - startedAt),
        ip: req.socket.remoteAddress,
      });
    });
  };
}
