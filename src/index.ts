#!/usr/bin/env node
import { loadDotenv } from './cli/dotenv.ts';
import { run } from './cli/run.ts';

/** The process edge: the only place that reads `process.env`, takes signals and sets the exit code. */
const cwd = process.cwd();
loadDotenv(cwd, process.env);
process.exitCode = await run({
  argv: process.argv.slice(2),
  env: process.env,
  cwd,
  isTTY: process.stdout.isTTY === true,
  process,
});
