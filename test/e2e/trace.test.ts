import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { chat, post } from '../support/data-plane.ts';
import { startGateway } from '../support/gateway-process.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';
/** Answers every call with the trace that it sees. */
const TELLS = `export default {
  metadata: { name: 'tells', capabilities: ['MIDDLEWARE'] },
  startup(app) {
    app.llm({ onRequest: ({ trace }) => ({ response: { trace } }) });
  },
};`;

describe('the trace that a hook sees', () => {
  for (const isolation of ['inline', 'process']) {
    it(`is that of the client, ${isolation}`, async (t) => {
      const gateway = await startGateway(t, {
        env: { LLMROUTER_PLUGINS_ISOLATION: isolation },
        files: { 'plugins/tells.js': TELLS },
      });
      const answer = await post(gateway.url, chat({ model: 'echo' }), {
        traceparent: `00-${TRACE}-${PARENT}-01`,
        tracestate: 'vendor=1',
      });
      const { trace } = (await answer.json()) as { trace: Record<string, unknown> };
      const { spanId, ...rest } = trace;
      assert.deepEqual(rest, { traceId: TRACE, parentSpanId: PARENT, flags: 1, state: 'vendor=1' });
      assert.match(String(spanId), /^[0-9a-f]{16}$/);
      const untraced = await post(gateway.url, chat({ model: 'echo' }));
      assert.deepEqual(await untraced.json(), { trace: null });
    });
  }
});
