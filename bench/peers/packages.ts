import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Packages of the peers, with versions that are known to run. */
const SETS = {
  fastify: { packages: ['fastify@5', '@fastify/http-proxy@11'], overrides: {} },
  portkey: {
    packages: ['@portkey-ai/gateway@1.15.2'],
    // What its own lock file has: with later ones its streams end in a 500.
    overrides: { hono: '4.9.7', '@hono/node-server': '1.13.5', '@hono/node-ws': '1.2.0' },
  },
} as const;

/**
 * Installs the packages of one peer below `$BENCH_PEERS` (default: a folder of the system's temporary one), once,
 * without running their install scripts.
 *
 * @returns the folder whose `node_modules` has them
 */
export function installPeer(set: keyof typeof SETS): string {
  const dir = join(process.env.BENCH_PEERS ?? join(tmpdir(), 'routeiq-bench-peers'), set);
  if (existsSync(join(dir, 'node_modules'))) return dir;
  const { packages, overrides } = SETS[set];
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, 'package.json'), JSON.stringify({ private: true, overrides }));
  execFileSync('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', ...packages], {
    cwd: dir,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return dir;
}
