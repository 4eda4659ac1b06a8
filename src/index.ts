#!/usr/bin/env node
/**
 * The process edge: the only place that reads `process.env`, takes signals and sets the exit code.
 *
 * @packageDocumentation
 */
import { loadDotenv } from './cli/dotenv.ts';

const NEEDED_MAJOR = 26;

if (Number.parseInt(process.versions.node, 10) < NEEDED_MAJOR) {
  process.stderr.write(
    `routeiq: this is Node.js ${process.versions.node}, expected ${NEEDED_MAJOR} or later; "npm start" brings its own\n`,
  );
  process.exit(78);
}

const mainAt = performance.now();
const cwd = process.cwd();
loadDotenv(cwd, process.env);
// Imported late: older versions of Node.js lack modules that are needed, and would only say that.
const { run } = await import('./cli/run.ts');
process.exitCode = await run({
  argv: process.argv.slice(2),
  env: process.env,
  cwd,
  isTTY: process.stdout.isTTY === true,
  process,
  mainAt,
});
