import express from 'express';
import type { PluginApp, PluginContext } from 'routeiq-gateway/plugin';
import type { Accounts } from './accounts.ts';
import type { KeyRing } from './key-ring.ts';
import { readGrace, readId, readObject, readTerms } from './terms.ts';
import { toView, type VirtualKey } from './virtual-key.ts';

export interface AdminDeps {
  readonly keys: KeyRing;
  readonly accounts: Accounts;
  readonly logger: PluginContext['logger'];
}

const KEYS = '/admin/auth-api-keys/keys';
const DEFAULT_GRACE_SECONDS = 3600;

/** The admin API of the keys. The gateway asks for the admin key before it lets anybody in here. */
export function registerAdminRoutes(app: PluginApp, { keys, accounts, logger }: AdminDeps): void {
  const json = express.json({ limit: '64kb' });
  const show = async (key: VirtualKey): Promise<Readonly<Record<string, unknown>>> => ({
    ...toView(key),
    spentUsd: await accounts.spent(key),
  });

  app.post(KEYS, json, async (req, res) => {
    const fields = readObject(req.body);
    const id = fields.id == null ? null : readId(fields.id);
    const { key, secret } = await keys.create(id, readTerms(fields, ['id']));
    logger.info('a key was created', { key: key.id });
    res
      .status(201)
      .set('cache-control', 'no-store')
      .json({ key: secret, ...toView(key) });
  });
  app.get(KEYS, async (_req, res) => {
    res.json({ keys: await Promise.all((await keys.list()).map(show)) });
  });
  app.get(`${KEYS}/:id`, async (req, res) => {
    res.json(await show(await keys.get(req.params.id)));
  });
  app.post(`${KEYS}/:id/rotate`, json, async (req, res) => {
    const graceSeconds = readGrace(readObject(req.body ?? {}), DEFAULT_GRACE_SECONDS);
    const { key, secret } = await keys.rotate(req.params.id, graceSeconds * 1000);
    logger.info('a key was rotated', { key: key.id, graceSeconds });
    res.set('cache-control', 'no-store').json({ key: secret, ...toView(key) });
  });
  app.delete(`${KEYS}/:id`, async (req, res) => {
    await keys.revoke(req.params.id);
    logger.info('a key was revoked', { key: req.params.id });
    res.status(204).end();
  });
}
