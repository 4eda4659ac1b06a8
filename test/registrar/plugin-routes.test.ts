import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createPluginRoutes } from '../../src/registrar/plugin-routes.ts';

const CONFLICT = { code: 'route_conflict' };

describe('routes of plugins', () => {
  it('leave the gateway its own paths', () => {
    const routes = createPluginRoutes(['/healthz', '/v1/models/*id']);
    for (const path of [
      '/healthz',
      '/HEALTHZ/',
      '/v1/models/x',
      '/:any',
      '/admin',
      '/admin/',
      '/admin/plugins/x',
    ]) {
      assert.throws(() => routes.claim('p', 'get', [path]), CONFLICT, path);
    }
    assert.throws(() => routes.claim('p', 'mount', ['/v1']), CONFLICT);
    assert.throws(() => routes.claim('p', 'mount', ['/']), CONFLICT);
    routes.claim('p', 'get', ['/health', '/v1/other']);
  });

  it('may lie below /admin/<own name>/, and nowhere else below /admin', () => {
    const routes = createPluginRoutes([]);
    routes.claim('keys', 'get', ['/admin/keys/list', '/admin/keys/:id']);
    routes.claim('Keys2', 'mount', ['/admin/keys2']);
    for (const path of [
      '/admin/keys/list',
      '/admin/other/x',
      '/admin/:name/list',
      '/admin/keysx/list',
      '/admin/p',
    ]) {
      assert.throws(() => routes.claim('p', 'get', [path]), CONFLICT, path);
    }
    assert.throws(() => routes.claim('keys', 'get', ['/admin/keys']), CONFLICT);
  });

  it('of a plugin called "plugins" do not shadow the admin API', () => {
    const routes = createPluginRoutes([]);
    assert.throws(() => routes.claim('plugins', 'post', ['/admin/plugins/:name/release']), CONFLICT);
  });

  it('are claimed together or not at all, and given back together', () => {
    const routes = createPluginRoutes([]);
    routes.claim('a', 'get', ['/a']);
    assert.throws(() => routes.claim('b', 'get', ['/b', '/a', '/admin/b/x']), CONFLICT);
    routes.claim('c', 'get', ['/b', '/admin/c/x']);
    routes.release('c');
    routes.claim('b', 'get', ['/b', '/admin/b/x']);
  });
});
