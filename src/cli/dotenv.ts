import { join } from 'node:path';
import { config } from 'dotenv';

/**
 * Reads `.env` in `cwd` into `env`. What the environment has already wins; a missing file is fine.
 *
 * @param env the process environment: plugins may read their own variables from it
 */
export function loadDotenv(cwd: string, env: NodeJS.ProcessEnv): void {
  config({
    path: join(cwd, '.env'),
    processEnv: env as Record<string, string>,
    override: false,
    quiet: true,
  });
}
