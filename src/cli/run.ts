import { parseArgs } from 'node:util';
import { loadConfig } from '../config/load.ts';
import type { GatewayConfig } from '../config/types.ts';
import { toError } from '../errors.ts';
import { BootTimer } from '../telemetry/boot-timer.ts';
import { readVersion } from '../version.ts';
import { describeFatal, EXIT, exitCodeFor } from './exit-code.ts';
import { lockPlugins } from './lock-plugins.ts';
import { checkPlugins, explainPlugins } from './plugins.ts';
import { serve } from './serve.ts';
import { supervise } from './workers.ts';

/** What the process edge hands in. */
export interface RunInput {
  /** Without the program's own name. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly isTTY: boolean;
  readonly process: NodeJS.Process;
  /** `performance.now()` when the program's own first line ran. */
  readonly mainAt: number;
}

const USAGE = `Usage: routeiq [command]

Commands:
  start             run the gateway (the default)
  plugins check     say of every plugin whether it would load, and why not; nothing is started
  plugins explain   print the load order and why each plugin stands where it stands
  plugins lock      write the digests of all plugins' files into the lock file; no plugin is run

Options:
  -h, --help        print this
  -v, --version     print the version

The configuration comes from the environment, from .env and from gateway.yaml; see README.md.
`;

/** Runs one command; resolves to the exit code. */
export async function run(input: RunInput): Promise<number> {
  try {
    const { values, positionals } = parseArgs({
      args: [...input.argv],
      allowPositionals: true,
      options: { help: { type: 'boolean', short: 'h' }, version: { type: 'boolean', short: 'v' } },
    });
    if (values.help) return print(input, USAGE);
    if (values.version) return print(input, `${readVersion()}\n`);
    return await dispatch(positionals.join(' '), input);
  } catch (error) {
    const usage = isUsageError(error) ? `\n${USAGE}` : '';
    input.process.stderr.write(describeFatal(error) + usage);
    return exitCodeFor(error);
  }
}

async function dispatch(command: string, input: RunInput): Promise<number> {
  switch (command) {
    case '':
    case 'start':
      return start(input);
    case 'plugins check':
      return checkPlugins(configure(input), (text) => input.process.stdout.write(text));
    case 'plugins explain':
      return explainPlugins(configure(input), (text) => input.process.stdout.write(text));
    case 'plugins lock':
      return lockPlugins(configure(input, false), (text) => input.process.stdout.write(text));
    default:
      input.process.stderr.write(`routeiq: unknown command "${command}"\n\n${USAGE}`);
      return EXIT.FAILURE;
  }
}

function start(input: RunInput): Promise<number> {
  const timer = new BootTimer();
  timer.mark('process', input.mainAt);
  timer.mark('modules', performance.now());
  const config = timer.now('config', () => configure(input));
  const { process } = input;
  return config.server.workers > 1 ? supervise(config, process, timer) : serve(config, process, timer);
}

function configure({ env, cwd, isTTY }: RunInput, readsLock = true): GatewayConfig {
  return loadConfig({ env, cwd, isTTY, readsLock });
}

function print({ process }: RunInput, text: string): number {
  process.stdout.write(text);
  return EXIT.OK;
}

function isUsageError(error: unknown): boolean {
  const { code } = toError(error) as { code?: unknown };
  return typeof code === 'string' && code.startsWith('ERR_PARSE_ARGS');
}
