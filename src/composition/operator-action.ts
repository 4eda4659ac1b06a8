import { z } from 'zod';
import type { PluginHost } from './plugin-host.ts';

/** What happened to plugins in one process that has to happen in the other processes on the same port, too. */
export type OperatorAction =
  | { readonly kind: 'release'; readonly plugin: string }
  | { readonly kind: 'quarantine'; readonly plugin: string; readonly cause: string }
  /** `null`: all that have changed. */
  | { readonly kind: 'reload'; readonly plugin: string | null }
  /** A new version failed on probation. */
  | { readonly kind: 'giveUp'; readonly plugin: string; readonly cause: string };

const ACTION: z.ZodType<OperatorAction> = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('release'), plugin: z.string() }),
  z.object({ kind: z.literal('quarantine'), plugin: z.string(), cause: z.string() }),
  z.object({ kind: z.literal('reload'), plugin: z.string().nullable() }),
  z.object({ kind: z.literal('giveUp'), plugin: z.string(), cause: z.string() }),
]);

/** A message between processes as an action; `null` when it is something else. */
export function parseOperatorAction(message: unknown): OperatorAction | null {
  const { data } = ACTION.safeParse(message);
  return data ?? null;
}

/** @throws GatewayError `not_found`, `conflict`, `plugin_reload_failed`: here the plugin is in another state than there */
export async function applyOperatorAction(host: PluginHost, action: OperatorAction): Promise<void> {
  switch (action.kind) {
    case 'release':
      await host.release(action.plugin);
      break;
    case 'quarantine':
      await host.quarantine(action.plugin, action.cause);
      break;
    case 'reload':
      await host.reload(action.plugin === null ? { kind: 'all' } : { kind: 'plugin', name: action.plugin });
      break;
    case 'giveUp':
      await host.giveUp(action.plugin, action.cause);
  }
}
