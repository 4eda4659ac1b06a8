import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';
import { startGateway, tempDir } from '../support/gateway-process.ts';

const TOOLS = join(import.meta.dirname, 'fixtures/conformance-tools.js');
const CLI = join(import.meta.dirname, '../../node_modules/@modelcontextprotocol/conformance/dist/index.js');

/**
 * The scenarios for a server that has tools. Left out are those of what this one does not offer: resources, prompts,
 * completion, logging, sampling and elicitation (`logging-set-level` and `tools-call-with-logging`, `tools-call-sampling`
 * and `-elicitation` among them), and `server-sse-polling`, which is about streams that are resumed.
 */
const SCENARIOS = [
  'server-initialize',
  'ping',
  'tools-list',
  'tools-call-simple-text',
  'tools-call-image',
  'tools-call-audio',
  'tools-call-embedded-resource',
  'tools-call-mixed-content',
  'tools-call-error',
  'tools-call-with-progress',
  'json-schema-2020-12',
  'server-sse-multiple-streams',
  'dns-rebinding-protection',
];

describe('the MCP conformance suite', () => {
  it('passes every scenario of a server with tools', async (t) => {
    const gateway = await startGateway(t, {
      files: { 'plugins/conformance-tools.js': readFileSync(TOOLS, 'utf8') },
    });
    for (const scenario of SCENARIOS) {
      await t.test(scenario, async () => {
        const args = [CLI, 'server', '--url', `${gateway.url}/mcp`, '--scenario', scenario];
        const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: tempDir(t) });
        assert.match(stdout, /Passed: ([1-9]\d*)\/\1, 0 failed, 0 warnings/);
      });
    }
  });
});
