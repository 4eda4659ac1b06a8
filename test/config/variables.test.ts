import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parse } from 'dotenv';
import { describeDefault, VARIABLE_DOCS, VARIABLES } from '../../src/config/variables.ts';
import { loadEnv } from './workspace.ts';

const EXAMPLE = readFileSync(new URL('../../.env.example', import.meta.url), 'utf8');
/** Every variable there is, written out, so that none is renamed or lost by accident. */
const CONTRACT: readonly string[] = [
  'LLMROUTER_ADMIN_KEY',
  'LLMROUTER_BODY_LIMIT',
  'LLMROUTER_CONFIG',
  'LLMROUTER_DATA_DIR',
  'LLMROUTER_DEBUG',
  'LLMROUTER_DRAIN_TIMEOUT_MS',
  'LLMROUTER_HOST',
  'LLMROUTER_LOG_FORMAT',
  'LLMROUTER_LOG_LEVEL',
  'LLMROUTER_OUTBOUND_ALLOW_PRIVATE',
  'LLMROUTER_OUTBOUND_CIDR_ALLOWLIST',
  'LLMROUTER_OUTBOUND_HOST_ALLOWLIST',
  'LLMROUTER_OUTBOUND_URL_ALLOWLIST',
  'LLMROUTER_PLUGINS',
  'LLMROUTER_PLUGINS_ALLOWED_CAPABILITIES',
  'LLMROUTER_PLUGINS_ALLOWLIST',
  'LLMROUTER_PLUGINS_CALL_TIMEOUT_MS',
  'LLMROUTER_PLUGINS_COOLDOWN_MS',
  'LLMROUTER_PLUGINS_DIR',
  'LLMROUTER_PLUGINS_DISABLED',
  'LLMROUTER_PLUGINS_FAILURE_MODE',
  'LLMROUTER_PLUGINS_FAILURE_THRESHOLD',
  'LLMROUTER_PLUGINS_FAILURE_WINDOW_MS',
  'LLMROUTER_PLUGINS_ISOLATION',
  'LLMROUTER_PLUGINS_LOCKFILE',
  'LLMROUTER_PLUGINS_MEMORY_LIMIT',
  'LLMROUTER_PLUGINS_PERMISSIONS',
  'LLMROUTER_PLUGINS_PROBATION_MS',
  'LLMROUTER_PLUGINS_SHUTDOWN_TIMEOUT_MS',
  'LLMROUTER_PLUGINS_STALL_TIMEOUT_MS',
  'LLMROUTER_PLUGINS_STARTUP_TIMEOUT_MS',
  'LLMROUTER_PLUGINS_WATCH',
  'LLMROUTER_PLUGIN_<NAME>__<KEY>',
  'LLMROUTER_TOOLS_MAX_ROUNDS',
  'LLMROUTER_TOOLS_TIMEOUT_MS',
  'LLMROUTER_WORKERS',
  'PORT',
];

test('the table has every variable there is and no other', () => {
  assert.deepEqual(VARIABLE_DOCS.map((row) => row.name).sort(), CONTRACT);
});

test('.env.example lists every variable with its meaning and its default, in the order of the table', () => {
  const blocks = EXAMPLE.trim().split('\n\n').slice(1);
  const expected = VARIABLE_DOCS.map(
    (row) => `# ${row.meaning}\n# Default: ${describeDefault(row)}\n#${row.name}=${row.default ?? ''}`,
  );
  assert.deepEqual(blocks, expected);
});

test('.env.example sets nothing when copied as it is', () => {
  assert.deepEqual({ ...parse(EXAMPLE) }, {});
});

test('setting every default of .env.example means the same as setting nothing', () => {
  const env = parse(EXAMPLE.replaceAll(/^#(?=[A-Z_]+=.)/gm, ''));
  assert.equal(Object.keys(env).length, Object.values(VARIABLES).filter((row) => row.default).length);
  const { environment: set, ...plugins } = loadEnv(env).plugins;
  const { environment: unset, ...defaults } = loadEnv({}).plugins;
  assert.ok(set.size > unset.size);
  assert.deepEqual({ ...loadEnv(env), plugins }, { ...loadEnv({}), plugins: defaults });
});

test('defaults are told in words', () => {
  assert.equal(describeDefault(VARIABLES.host), '127.0.0.1 (in the image: 0.0.0.0)');
  assert.equal(describeDefault(VARIABLES.specifiers), 'empty');
  assert.equal(describeDefault(VARIABLES.lockfile), 'unset');
});
