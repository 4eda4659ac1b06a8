import { ConfigError, isGatewayError, toError } from '../errors.ts';
import { PluginAbortError } from '../lifecycle/abort.ts';

/** Exit codes. See README.md, "Configuration". */
export const EXIT = {
  OK: 0,
  /** Anything that has no code of its own. */
  FAILURE: 1,
  /** A plugin with failure mode `abort` failed (EX_SOFTWARE of sysexits). */
  PLUGIN_ABORT: 70,
  /** Wrong configuration (EX_CONFIG of sysexits). */
  CONFIG: 78,
} as const;

/** The exit code that an error of the start, or of a running gateway, leads to. */
export function exitCodeFor(error: unknown): number {
  if (error instanceof PluginAbortError) return EXIT.PLUGIN_ABORT;
  if (isGatewayError(error) && (error.code === 'config_invalid' || error.code === 'plugin_dependency'))
    return EXIT.CONFIG;
  return EXIT.FAILURE;
}

/** What stderr says of it: one line for each problem. */
export function describeFatal(error: unknown): string {
  if (error instanceof ConfigError)
    return error.problems.map((problem) => `routeiq: ${oneLine(problem)}\n`).join('');
  const { message } = toError(error);
  const hint = isGatewayError(error) && error.hint !== undefined ? `. ${error.hint}` : '';
  return `routeiq: ${oneLine(message)}${hint}\n`;
}

function oneLine(text: string): string {
  return text.replace(/\s*[\r\n]+\s*/g, ' ');
}
