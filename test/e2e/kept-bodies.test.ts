import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startGateway } from '../support/gateway-process.ts';

const TEE = `
const kept = [];
export default {
  metadata: { name: 'tee', version: '1.0.0', capabilities: ['MIDDLEWARE', 'ROUTES'] },
  startup(app) {
    app.use('/v1', (req, res, next) => {
      const { emit } = req;
      req.emit = (event, ...args) => {
        if (event === 'data') kept.push(args[0]);
        return emit.call(req, event, ...args);
      };
      next();
    });
    app.get('/kept', (req, res) => res.type('text').send(Buffer.concat(kept)));
  },
};`;

test('a middleware may keep what it has seen of a body', async (t) => {
  const { url } = await startGateway(t, { files: { 'plugins/tee.mjs': TEE } });
  const body = JSON.stringify({ model: 'echo', messages: [{ role: 'user', content: 'é'.repeat(100_000) }] });
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${url}/v1/chat/completions`, { method: 'POST', headers, body });
  assert.equal(response.status, 200);
  await response.arrayBuffer();
  assert.equal(await (await fetch(`${url}/kept`)).text(), body);
});
