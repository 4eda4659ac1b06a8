import type { Logger } from 'winston';
import type { OperatorAction } from '../composition/operator-action.ts';
import type { GatewayConfig } from '../config/types.ts';
import { createGateway } from '../gateway.ts';
import type { BootTimer } from '../telemetry/boot-timer.ts';
import { createLogger } from '../telemetry/logger.ts';
import { describeFatal, EXIT, exitCodeFor } from './exit-code.ts';
import { letHeapGrow } from './heap-growth.ts';

/** What ties a gateway to others on the same port. */
export interface WorkerLink {
  /** Its plugins have started. */
  ready(): void;
  /** Passes an operator's action on to the others. */
  share(action: OperatorAction): void;
  /** Calls `follow` for every action that another one shares. */
  onShared(follow: (action: OperatorAction) => void): void;
}

/** Runs one gateway in this process until a signal or a fatal error; resolves to the exit code. */
export async function serve(
  config: GatewayConfig,
  process: NodeJS.Process,
  timer: BootTimer,
  link?: WorkerLink,
): Promise<number> {
  const log = createLogger({ ...config.log, debug: config.debug });
  for (const warning of config.warnings) log.warn(warning, { event: 'config_warning' });
  const { promise: ended, resolve: end } = Promise.withResolvers<number>();
  const fail = (error: unknown): void => {
    process.stderr.write(describeFatal(error));
    end(exitCodeFor(error));
  };
  const gateway = timer.now('parts', () =>
    createGateway(config, {
      log,
      onAbort: fail,
      onOperatorAction: (action) => link?.share(action),
      timer,
    }),
  );
  link?.onShared((action) => void gateway.follow(action));
  process.on('uncaughtException', (error) => gateway.contain(error) || fail(error));
  process.on('unhandledRejection', (reason) => gateway.contain(reason) || fail(reason));
  // Repeated signals change nothing: a terminal's Ctrl-C reaches the process twice when npm passes it on as well.
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => end(EXIT.OK));
  holdOpen();
  gateway
    .start()
    .then(() => {
      letHeapGrow(process.execArgv);
      if (config.debug || log.isDebugEnabled()) logBoot(log, timer);
      link?.ready();
    })
    .catch(fail);
  const code = await ended;
  await gateway.stop();
  await flushed(log);
  process.exit(code);
}

function logBoot(log: Logger, timer: BootTimer): void {
  const { ms, steps } = timer.end();
  log.info('boot', { event: 'boot', ms, steps });
}

/**
 * Node ends a process that has nothing left to wait for, and a plugin whose `shutdown()` hangs is nothing: deadlines do
 * not count. Without this the rest of the shutdown would be skipped. `process.exit` is what ends the gateway.
 */
function holdOpen(): void {
  setInterval(() => undefined, 2 ** 31 - 1);
}

/** Plugins may have left timers and sockets open, which must not keep a stopped gateway alive. */
function flushed(log: Logger): Promise<void> {
  return new Promise((resolve) => {
    log.once('finish', resolve);
    log.end();
  });
}
