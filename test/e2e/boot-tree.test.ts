import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { BootStep } from '../../src/telemetry/boot-timer.ts';
import { type LogLine, spawnGateway, startGateway } from '../support/gateway-process.ts';

const isBoot = ({ event }: LogLine): boolean => event === 'boot';
const PLUGIN = `export default { metadata: { name: 'slow' }, startup() {} };`;

describe('the boot tree', () => {
  it('says with LLMROUTER_DEBUG where the time of the start went, plugin by plugin', async (t) => {
    const gateway = await startGateway(t, {
      env: { LLMROUTER_DEBUG: 'true' },
      files: { 'plugins/slow.js': PLUGIN },
    });
    const { ms, steps } = (await gateway.logged(isBoot)) as unknown as BootStep;
    assert.deepEqual(namesIn(steps), {
      process: null,
      modules: null,
      config: null,
      parts: null,
      listen: null,
      plugins: { discovery: null, admission: { slow: null }, order: null, startup: { slow: null } },
    });
    const sum = (steps ?? []).reduce((total, step) => total + step.ms, 0);
    assert.ok(sum > 0 && sum <= ms + 0.1, `${sum} of ${ms}`);
  });

  it('is not told when nobody asks', async (t) => {
    const gateway = await startGateway(t, { files: { 'plugins/slow.js': PLUGIN } });
    await gateway.stop();
    assert.equal(gateway.log.some(isBoot), false);
  });

  it('is a tree for people', async (t) => {
    const env = { LLMROUTER_DEBUG: 'true', LLMROUTER_LOG_FORMAT: 'pretty' };
    const gateway = spawnGateway(t, { env, files: { 'plugins/slow.js': PLUGIN } });
    await gateway.logged(({ text }) => String(text).includes('└─ startup'));
    assert.ok(gateway.lines.some((line) => /^\d\d:\d\d:\d\d\.\d{3} info {2}boot ms=\d/.test(line)));
    assert.ok(gateway.lines.some((line) => /^ {2}├─ process [\d.]+ ms$/.test(line)));
  });
});

/** The tree without its times. */
function namesIn(steps: readonly BootStep[] | undefined): unknown {
  if (steps === undefined) return null;
  return Object.fromEntries(steps.map(({ name, steps: parts }) => [name, namesIn(parts)]));
}
